//! The language model: a neural network over the last letters (Bengio et al. 2003), trained at
//! start on a short text of our own. It writes word by word, and for each word tries several and
//! keeps one by its likelihood: that is where the work, and so the energy, of a token goes.

use crate::draw::Draws;

use super::network::{Network, Pass, best, uniform};

const CORPUS: &str = include_str!("corpus.txt");
/// How many letters back the network sees.
const CONTEXT: usize = 8;
const EMBEDDING: usize = 12;
const HIDDEN: usize = 96;
/// Words tried for each word written.
const CANDIDATES: usize = 32;
/// A word ends by force here.
const LONGEST_WORD: usize = 16;
/// Passes over the text: 16 make it readable in about half a second of optimised code.
pub(super) const EPOCHS: usize = 16;

/// What a token of the answer is: a word with the space that follows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    /// The model ended its paragraph.
    pub(super) last: bool,
}

#[derive(Debug)]
pub(super) struct LanguageModel {
    letters: Vec<char>,
    embedding: Vec<[f32; EMBEDDING]>,
    network: Network,
    /// Mean cross-entropy of the last epoch, in nats a letter.
    pub(super) loss: f32,
}

/// One answer being written.
#[derive(Debug)]
pub(super) struct Writer {
    context: Vec<usize>,
    temperature: f32,
    draws: Draws,
    pass: Pass,
}

struct Candidate {
    letters: Vec<usize>,
    /// Mean log-likelihood of a letter.
    score: f32,
}

impl LanguageModel {
    pub(super) fn train(seed: u64, epochs: usize) -> Self {
        let mut draws = Draws::from_sub_seed(seed);
        let mut letters: Vec<char> = CORPUS.chars().collect();
        letters.sort_unstable();
        letters.dedup();
        let embedding = letters
            .iter()
            .map(|_| std::array::from_fn(|_| uniform(&mut draws) - 0.5))
            .collect();
        let network = Network::new(CONTEXT * EMBEDDING, HIDDEN, letters.len(), &mut draws);
        let mut model = Self {
            letters,
            embedding,
            network,
            loss: f32::INFINITY,
        };
        let text = model.read(CORPUS);
        for epoch in 0..epochs {
            // Falling steps: large ones find the words, small ones settle the spelling.
            #[expect(clippy::cast_precision_loss, reason = "epochs are few")]
            let rate = 0.06 * (1.0 - epoch as f32 / epochs as f32) + 0.005;
            model.loss = model.epoch(&text, rate);
        }
        model
    }

    fn epoch(&mut self, text: &[usize], rate: f32) -> f32 {
        let mut pass = self.network.pass();
        let mut input = [0.0; CONTEXT * EMBEDDING];
        let mut loss = 0.0;
        let windows = text.windows(CONTEXT + 1);
        #[expect(clippy::cast_precision_loss, reason = "the text is short")]
        let count = windows.len() as f32;
        for window in windows {
            let (context, next) = (&window[..CONTEXT], window[CONTEXT]);
            self.embed(context, &mut input);
            loss += self.network.learn(&input, next, rate, &mut pass);
            for (letter, back) in context.iter().zip(pass.input_back.chunks_exact(EMBEDDING)) {
                for (value, slope) in self.embedding[*letter].iter_mut().zip(back) {
                    *value -= rate * slope;
                }
            }
        }
        loss / count
    }

    fn embed(&self, context: &[usize], input: &mut [f32]) {
        for (slot, letter) in input.chunks_exact_mut(EMBEDDING).zip(context) {
            slot.copy_from_slice(&self.embedding[*letter]);
        }
    }

    /// Letters as numbers; what the model never saw reads as a space.
    fn read(&self, text: &str) -> Vec<usize> {
        let number = |letter: char| self.letters.binary_search(&letter).ok();
        let space = number(' ').unwrap_or(0);
        text.chars()
            .flat_map(char::to_lowercase)
            .map(|letter| number(letter).unwrap_or(space))
            .collect()
    }

    /// Starts an answer to `prompt`. At temperature 0 it is a function of the prompt alone.
    pub(super) fn write(&self, prompt: &str, temperature: f32, seed: u64) -> Writer {
        // The network sees a full context even where the prompt is shorter than one.
        let mut context = self.read("a small model. ");
        context.extend(self.read(prompt.trim()));
        context.extend(self.read(". "));
        Writer {
            context: context.split_off(context.len() - CONTEXT),
            temperature,
            draws: Draws::from_sub_seed(if temperature > 0.0 { seed } else { 0 }),
            pass: self.network.pass(),
        }
    }

    /// The next word.
    pub(super) fn next_word(&self, writer: &mut Writer) -> Word {
        let candidates: Vec<Candidate> = (0..CANDIDATES)
            .map(|n| self.candidate(writer, n == 0))
            .collect();
        let chosen = &candidates[writer.choose(&candidates)];
        let text: String = chosen.letters.iter().map(|it| self.letters[*it]).collect();
        writer.context.extend(&chosen.letters);
        writer.context.drain(..writer.context.len() - CONTEXT);
        let last = text.ends_with('\n');
        let text = text.trim_end_matches('\n').to_owned();
        Word { text, last }
    }

    fn candidate(&self, writer: &mut Writer, greedy: bool) -> Candidate {
        let mut context: [usize; CONTEXT] = [0; CONTEXT];
        context.copy_from_slice(&writer.context);
        let mut input = [0.0; CONTEXT * EMBEDDING];
        let mut letters = Vec::with_capacity(LONGEST_WORD);
        let mut likelihood = 0.0;
        loop {
            self.embed(&context, &mut input);
            self.network.predict(&input, &mut writer.pass);
            let scores = &writer.pass.scores;
            let letter = if greedy {
                best(scores)
            } else {
                pick(scores, uniform(&mut writer.draws))
            };
            likelihood += scores[letter].max(f32::MIN_POSITIVE).ln();
            letters.push(letter);
            context.rotate_left(1);
            context[CONTEXT - 1] = letter;
            if matches!(self.letters[letter], ' ' | '\n') || letters.len() == LONGEST_WORD {
                break;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a word is short")]
        let score = likelihood / letters.len() as f32;
        Candidate { letters, score }
    }
}

impl Writer {
    fn choose(&mut self, candidates: &[Candidate]) -> usize {
        let scores: Vec<f32> = candidates.iter().map(|it| it.score).collect();
        let likeliest = best(&scores);
        if self.temperature <= 0.0 {
            return likeliest;
        }
        let mut weights: Vec<f32> = scores
            .iter()
            .map(|score| ((score - scores[likeliest]) / self.temperature).exp())
            .collect();
        let sum: f32 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= sum;
        }
        pick(&weights, uniform(&mut self.draws))
    }
}

/// The class at which the sum of probabilities passes `u`.
fn pick(probabilities: &[f32], u: f32) -> usize {
    let mut sum = 0.0;
    for (class, probability) in probabilities.iter().enumerate() {
        sum += probability;
        if u < sum {
            return class;
        }
    }
    // Rounding can leave the sum just below 1.
    best(probabilities)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(model: &LanguageModel, prompt: &str, temperature: f32, seed: u64) -> String {
        let mut writer = model.write(prompt, temperature, seed);
        (0..12).map(|_| model.next_word(&mut writer).text).collect()
    }

    #[test]
    fn training_teaches_letters() {
        let model = LanguageModel::train(1, 2);
        // Guessing among about 30 letters costs 3.4 nats each.
        assert!(model.loss < 2.5, "{}", model.loss);
    }

    #[test]
    fn without_temperature_the_answer_depends_on_the_prompt_alone() {
        let model = LanguageModel::train(1, 1);
        assert_eq!(
            text(&model, "the road", 0.0, 1),
            text(&model, "the road", 0.0, 2)
        );
        assert_eq!(
            text(&model, "the road", 1.0, 5),
            text(&model, "the road", 1.0, 5)
        );
        assert_ne!(
            text(&model, "the road", 1.0, 5),
            text(&model, "the road", 1.0, 6)
        );
        assert!(!text(&model, "", 0.0, 1).is_empty());
    }

    #[test]
    fn pick_meets_the_edges() {
        assert_eq!(pick(&[0.5, 0.5], 0.0), 0);
        assert_eq!(pick(&[0.5, 0.5], 0.5), 1);
        assert_eq!(pick(&[0.2, 0.7], 0.999), 1);
    }
}
