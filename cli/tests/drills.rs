//! T-12: the drills that are short enough for every run. `flashsale drill run --all` runs the others too.
#![allow(clippy::print_stdout, reason = "the seeds of a failed run are needed to repeat it")]

use std::{path::Path, sync::Arc};

use flashsale_drills::{Arena, all, run};

#[tokio::test(flavor = "multi_thread")]
async fn t_12_the_quick_drills_are_passed() {
    let binary = Path::new(env!("CARGO_BIN_EXE_flashsale"));
    let arena = tokio::task::block_in_place(|| Arena::start(binary)).expect("the servers start");
    let arena = Arc::new(arena);
    let mut failed = Vec::new();
    for drill in all().iter().filter(|drill| drill.quick) {
        let seed: u32 = rand::random();
        println!("{} {} seed {seed}", drill.fault, drill.name);
        match run(drill, &arena, seed.into()).await {
            Ok(outcome) => println!("  passed in {:?}, converged in {:?}", outcome.took, outcome.converged),
            Err(error) => failed.push(format!("{} {}: {error:#}", drill.fault, drill.name)),
        }
    }
    tokio::task::block_in_place(|| drop(arena));
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
