//! The corpora again, and random bytes, without libFuzzer: `replay [--seed N] [--times N] TARGET FOLDER...`. The seed is said first.
//!
//! TARGET is `pid_file`, `environment` or `calls`; `whole` are the calls that fork, close and signal too, each sequence in a process of
//! its own.

use daemonctx_fuzz::{calls, environment, house, pid_file};
use std::path::PathBuf;
use std::process::ExitCode;

/// xorshift64*: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % end.max(1)
    }

    /// Random bytes, or one of the inputs with some of its bytes others, or fewer or more of them.
    fn input(&mut self, from: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = if from.is_empty() || self.below(4) == 0 {
            (0..self.below(160)).map(|_| self.next().to_le_bytes()[3]).collect()
        } else {
            from[self.below(from.len())].clone()
        };
        for _ in 0..self.below(6) {
            let place = self.below(bytes.len() + 1);
            let byte = self.next().to_le_bytes()[3];
            match self.below(3) {
                0 if place < bytes.len() => bytes[place] = byte,
                1 if place < bytes.len() => drop(bytes.remove(place)),
                _ => bytes.insert(place, byte),
            }
        }
        bytes
    }
}

struct Arguments {
    seed: u64,
    times: u64,
    target: String,
    folders: Vec<PathBuf>,
}

fn arguments() -> Option<Arguments> {
    let mut said = std::env::args().skip(1);
    let mut known = Arguments { seed: 1, times: 0, target: String::new(), folders: Vec::new() };
    while let Some(word) = said.next() {
        match word.as_str() {
            "--seed" => known.seed = said.next()?.parse().ok()?,
            "--times" => known.times = said.next()?.parse().ok()?,
            _ if known.target.is_empty() => known.target = word,
            _ => known.folders.push(word.into()),
        }
    }
    Some(known)
}

fn corpus(folders: &[PathBuf]) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()))
        .collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read(file).ok()).collect()
}

fn main() -> ExitCode {
    let Some(said) = arguments() else { return ExitCode::from(2) };
    let run: fn(&[u8]) = match said.target.as_str() {
        "pid_file" => pid_file::run,
        "environment" => environment::run,
        "calls" => calls::run,
        "whole" => calls::run_apart,
        _ => return ExitCode::from(2),
    };
    house::enter();
    let inputs = corpus(&said.folders);
    let mut random = Random(said.seed.max(1));
    let last = house::path("last-input");
    let attempt = |bytes: &[u8]| {
        // What was tried last, for when it has ended the process.
        let _ = std::fs::write(&last, bytes);
        run(bytes);
    };
    inputs.iter().for_each(|bytes| attempt(bytes));
    (0..said.times).for_each(|_| attempt(&random.input(&inputs)));
    println!("{}: seed {}: {} files, {} more", said.target, said.seed, inputs.len(), said.times);
    ExitCode::SUCCESS
}
