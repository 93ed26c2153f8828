//! The corpus, whole, and what chance makes of it: the same on every run.
#![allow(clippy::unwrap_used)] // as in unit tests

use std::{fs, panic::catch_unwind, path::Path};

use flashsale_fuzz_targets::TARGETS;
use peak_alloc::PeakAlloc;
use rand::{Rng, SeedableRng, rngs::StdRng};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const FUZZ: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz");
/// Inputs that are made for each target, unless FLASHSALE_SOAK_ITERATIONS asks for more.
const ITERATIONS: u32 = 1_000;
/// Where chance begins.
const SEED: u64 = 0xF1A5;
/// Longest input that is made.
const INPUT_BYTES_MAX: usize = 8 * 1024;
/// What one input may cost. A corrupt length costs 1 MiB, see the codec; a few of them may follow each other.
const MEMORY_BYTES_MAX: usize = 8 << 20;

/// Bytes that are more often wrong than others.
const BYTES: [u8; 8] = [0x00, 0x01, 0x02, 0x7f, 0x80, 0xfe, 0xff, b'\n'];
/// Pieces that parsers stumble over: lengths without bound, nesting, numbers at the ends of their range.
const PIECES: [&[u8]; 16] = [
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xfe\xff\xff\xff\x0f",
    b"\x80\x80\x80\x01",
    b"\xfe\xff\x7f",
    b"\x00\x00\x00\x00\x05",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"{\"sku\":",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"\nX-User-Id: ",
    b"\ndlq.first_seen_ms: ",
    b"\ndlq.origin: ",
];

#[test]
fn nf_5_parsers_keep_their_promises_whatever_comes() {
    let iterations = std::env::var("FLASHSALE_SOAK_ITERATIONS").map_or(ITERATIONS, |number| number.parse().unwrap());
    for (name, feed) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "fuzz/corpus/{name} is empty");
        // The first makes what the others share.
        feed(b"");
        for seed in &seeds {
            watched(name, feed, seed);
        }
        let mut chance = StdRng::seed_from_u64(SEED);
        for _ in 0..iterations {
            watched(name, feed, &mutated(&mut chance, &seeds));
        }
    }
}

/// What is in the corpus of a target and what once went wrong, in the order of their names.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folders = ["corpus", "regressions"].map(|kind| Path::new(FUZZ).join(kind).join(name));
    let mut files: Vec<_> = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().collect();
    files.sort_by_key(|file| file.as_ref().unwrap().path());
    files.into_iter().map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

fn watched(name: &str, feed: fn(&[u8]), input: &[u8]) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let fed = catch_unwind(|| feed(input));
    let taken = MEMORY.peak_usage().saturating_sub(before);
    let what = match fed {
        Ok(()) if taken <= MEMORY_BYTES_MAX => return,
        Ok(()) => format!("takes {taken} bytes of memory for"),
        Err(_) => "breaks a promise (see above) on".to_owned(),
    };
    let hex: String = input.iter().map(|byte| format!("{byte:02X}")).collect();
    let folder = format!("fuzz/regressions/{name}");
    let keep = format!("mkdir -p {folder}; echo {hex} | basenc --decode --base16 >{folder}/WHAT-IT-IS");
    panic!("{name} {what} these {} bytes:\n{hex}\nTo keep them:\n{keep}", input.len());
}

/// A seed with one to four mistakes.
fn mutated(chance: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = one_of(chance, seeds).clone();
    for _ in 0..chance.random_range(1..=4) {
        let at = chance.random_range(0..=input.len());
        let end = chance.random_range(at..=input.len());
        match chance.random_range(0..7) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let twice = input[at..end].to_vec();
                drop(input.splice(at..at, twice));
            }
            3 => drop(input.splice(at..at, one_of(chance, &PIECES).iter().copied())),
            4 => {
                let other = one_of(chance, seeds);
                input.truncate(at);
                input.extend_from_slice(&other[chance.random_range(0..=other.len())..]);
            }
            5 => {
                let byte = *one_of(chance, &BYTES);
                input[at..].iter_mut().take(1).for_each(|old| *old = byte);
            }
            _ => {
                let bit = 1_u8 << chance.random_range(0..8_u32);
                input[at..].iter_mut().take(1).for_each(|old| *old ^= bit);
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn one_of<'a, T>(chance: &mut StdRng, all: &'a [T]) -> &'a T {
    &all[chance.random_range(0..all.len())]
}
