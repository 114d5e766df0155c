//! The classifier: hand-drawn digits of 8 × 8 pixels, drawn anew at every start.

use crate::draw::Draws;

use super::network::{Network, Pass, best, uniform};

/// Pixels of one picture, row by row, each about 0 (paper) to 1 (ink).
pub(crate) const PIXELS: usize = WIDTH * WIDTH;
pub(crate) const CLASSES: usize = 10;
const WIDTH: usize = 8;
const HIDDEN: usize = 256;
const TRAINING: usize = 3000;
const HELD_OUT: usize = 500;

/// Digits of 5 × 7 dots: a row is five bits, the leftmost dot the highest.
const GLYPHS: [[u8; 7]; CLASSES] = [
    [0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e],
    [0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e],
    [0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f],
    [0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e],
    [0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02],
    [0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e],
    [0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e],
    [0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08],
    [0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e],
    [0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c],
];

/// A network that tells digits apart.
#[derive(Debug)]
pub(super) struct Classifier {
    network: Network,
    pass: Pass,
    /// Share of pictures told right that it never saw in training.
    pub(super) accuracy: f64,
}

impl Classifier {
    pub(super) fn train(seed: u64) -> Self {
        let mut draws = Draws::from_sub_seed(seed);
        let mut network = Network::new(PIXELS, HIDDEN, CLASSES, &mut draws);
        let mut pass = network.pass();
        for example in 0..TRAINING {
            let class = example % CLASSES;
            network.learn(&picture(class, &mut draws), class, 0.02, &mut pass);
        }
        let mut classifier = Self {
            network,
            pass,
            accuracy: 0.0,
        };
        let right = (0..HELD_OUT)
            .filter(|example| {
                let class = example % CLASSES;
                best(classifier.scores(&picture(class, &mut draws))) == class
            })
            .count();
        #[expect(clippy::cast_precision_loss, reason = "both are below 2^53")]
        let accuracy = right as f64 / HELD_OUT as f64;
        classifier.accuracy = accuracy;
        classifier
    }

    /// Probabilities of the ten digits for one picture of [`PIXELS`] pixels.
    pub(super) fn scores(&mut self, pixels: &[f32]) -> &[f32] {
        self.network.predict(pixels, &mut self.pass);
        &self.pass.scores
    }
}

/// A picture of `digit` (0 to 9): placed by chance, in ink of uneven strength, on stained paper.
pub(crate) fn picture(digit: usize, draws: &mut Draws) -> [f32; PIXELS] {
    let mut pixels = [0.0; PIXELS];
    let (left, top) = (draws.below(4), draws.below(2));
    for (y, row) in pixels.chunks_exact_mut(WIDTH).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let ink = (y as u64)
                .checked_sub(top)
                .zip((x as u64).checked_sub(left))
                .is_some_and(|(y, x)| dot(digit, x, y));
            let stain = 0.35 * uniform(draws);
            *pixel = if ink { 1.0 - stain } else { stain };
        }
    }
    pixels
}

fn dot(digit: usize, x: u64, y: u64) -> bool {
    let row = usize::try_from(y).ok().and_then(|y| GLYPHS[digit].get(y));
    x < 5 && row.is_some_and(|bits| (bits >> (4 - x)) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classifier_learns() {
        let classifier = Classifier::train(1);
        assert!(classifier.accuracy > 0.9, "{}", classifier.accuracy);
    }

    #[test]
    fn a_picture_shows_its_digit() {
        let ink = |digit| {
            picture(digit, &mut Draws::from_sub_seed(2))
                .iter()
                .filter(|pixel| **pixel > 0.5)
                .count()
        };
        // A seven has 11 dots more than... counted from its rows: 5 + 6 single dots.
        assert_eq!(ink(7), 11);
        assert_eq!(ink(1), 10);
    }
}
