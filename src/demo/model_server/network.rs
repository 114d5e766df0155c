//! A two-layer perceptron: enough to learn something real in a fraction of a second, small enough
//! to read in a minute.

use crate::draw::Draws;

/// A fully connected layer. The weights of one input lie together, so that both directions run
/// along memory and vectorise.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Dense {
    /// Uniform weights of variance `2 / inputs` (He et al. 2015, for rectified units).
    fn new(inputs: usize, outputs: usize, draws: &mut Draws) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "layer sizes are small")]
        let reach = (6.0 / inputs as f32).sqrt();
        let weights = (0..inputs * outputs)
            .map(|_| reach * (2.0 * uniform(draws) - 1.0))
            .collect();
        let bias = vec![0.0; outputs];
        Self {
            outputs,
            weights,
            bias,
        }
    }

    fn forward(&self, input: &[f32], output: &mut [f32]) {
        output.copy_from_slice(&self.bias);
        for (row, &x) in self.weights.chunks_exact(self.outputs).zip(input) {
            // Rectified inputs are zero half of the time.
            if x != 0.0 {
                for (sum, weight) in output.iter_mut().zip(row) {
                    *sum += x * weight;
                }
            }
        }
    }

    /// One step of gradient descent; writes the gradient of the input to `back`.
    fn learn(&mut self, input: &[f32], gradient: &[f32], rate: f32, back: &mut [f32]) {
        let rows = self.weights.chunks_exact_mut(self.outputs);
        for ((row, &x), back) in rows.zip(input).zip(back) {
            *back = dot(row, gradient);
            let step = rate * x;
            if step != 0.0 {
                for (weight, slope) in row.iter_mut().zip(gradient) {
                    *weight -= step * slope;
                }
            }
        }
        for (bias, slope) in self.bias.iter_mut().zip(gradient) {
            *bias -= rate * slope;
        }
    }
}

/// Input → rectified hidden layer → softmax over classes.
#[derive(Clone, Debug)]
pub(super) struct Network {
    hidden: Dense,
    output: Dense,
}

/// Buffers of one pass, reused from pass to pass.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    hidden: Vec<f32>,
    hidden_back: Vec<f32>,
    /// Probabilities of the classes after [`Network::predict`].
    pub(super) scores: Vec<f32>,
    /// The gradient of the input after [`Network::learn`].
    pub(super) input_back: Vec<f32>,
}

impl Network {
    pub(super) fn new(inputs: usize, hidden: usize, classes: usize, draws: &mut Draws) -> Self {
        Self {
            hidden: Dense::new(inputs, hidden, draws),
            output: Dense::new(hidden, classes, draws),
        }
    }

    pub(super) fn pass(&self) -> Pass {
        Pass {
            hidden: vec![0.0; self.hidden.outputs],
            hidden_back: vec![0.0; self.hidden.outputs],
            scores: vec![0.0; self.output.outputs],
            input_back: vec![0.0; self.hidden.weights.len() / self.hidden.outputs],
        }
    }

    pub(super) fn predict(&self, input: &[f32], pass: &mut Pass) {
        self.hidden.forward(input, &mut pass.hidden);
        for unit in &mut pass.hidden {
            *unit = unit.max(0.0);
        }
        self.output.forward(&pass.hidden, &mut pass.scores);
        softmax(&mut pass.scores);
    }

    /// One example; returns its loss (cross-entropy, nats) before the step.
    pub(super) fn learn(&mut self, input: &[f32], class: usize, rate: f32, pass: &mut Pass) -> f32 {
        self.predict(input, pass);
        let loss = -pass.scores[class].max(f32::MIN_POSITIVE).ln();
        // The gradient of softmax with cross-entropy is `p - 1` at the true class, `p` elsewhere.
        pass.scores[class] -= 1.0;
        self.output
            .learn(&pass.hidden, &pass.scores, rate, &mut pass.hidden_back);
        for (back, unit) in pass.hidden_back.iter_mut().zip(&pass.hidden) {
            if *unit <= 0.0 {
                *back = 0.0;
            }
        }
        self.hidden
            .learn(input, &pass.hidden_back, rate, &mut pass.input_back);
        loss
    }
}

pub(super) fn uniform(draws: &mut Draws) -> f32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a draw needs no 53 bits here"
    )]
    let value = draws.uniform() as f32;
    value
}

/// The class with the highest score.
pub(super) fn best(scores: &[f32]) -> usize {
    scores
        .iter()
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map_or(0, |(class, _)| class)
}

fn softmax(scores: &mut [f32]) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in &mut *scores {
        *score = (*score - highest).exp();
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}

/// Eight partial sums: float addition does not commute, so one sum would not vectorise.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let mut lanes = [0.0; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((lane, x), y) in lanes.iter_mut().zip(a).zip(b) {
            *lane += x * y;
        }
    }
    rest + lanes.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_sums_whole_lanes_and_the_rest() {
        let a: Vec<f32> = (1u8..=11).map(f32::from).collect();
        let b = vec![2.0; 11];
        assert!((dot(&a, &b) - 132.0).abs() < 1e-4);
    }

    #[test]
    fn the_network_learns_what_no_single_layer_can() {
        let xor = [
            ([0.0, 0.0], 0),
            ([0.0, 1.0], 1),
            ([1.0, 0.0], 1),
            ([1.0, 1.0], 0),
        ];
        let mut network = Network::new(2, 16, 2, &mut Draws::from_sub_seed(1));
        let mut pass = network.pass();
        for _ in 0..2000 {
            for (input, class) in &xor {
                network.learn(input, *class, 0.1, &mut pass);
            }
        }
        for (input, class) in &xor {
            network.predict(input, &mut pass);
            assert_eq!(best(&pass.scores), *class, "{input:?}");
        }
    }
}
