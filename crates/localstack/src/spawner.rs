//! The one thread that starts processes.
//!
//! A parent-death signal is sent when the *thread* that spawned the child ends, not when the process does. Callers
//! come from short-lived threads (a test, a blocking task), so all children are spawned here: this thread lives as
//! long as the process.

use std::{
    io,
    process::{Child, Command},
    sync::{
        OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

struct Job {
    command: Command,
    reply: SyncSender<io::Result<Child>>,
}

static SPAWNER: OnceLock<SyncSender<Job>> = OnceLock::new();

/// Spawns on the long-lived thread.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, inbox) = sync_channel(1);
        // Without the thread its inbox is dropped, and each send below fails.
        if let Err(error) = thread::Builder::new().name("spawner".into()).spawn(move || run(&inbox)) {
            tracing::error!(%error, "cannot start the spawner thread");
        }
        jobs
    });
    let (reply, answer) = sync_channel(1);
    let gone = |_| io::Error::other("the spawner thread is gone");
    spawner.send(Job { command, reply }).map_err(|error| gone(error.to_string()))?;
    answer.recv().map_err(|error| gone(error.to_string()))?
}

fn run(inbox: &Receiver<Job>) {
    while let Ok(mut job) = inbox.recv() {
        if let Err(unheard) = job.reply.send(job.command.spawn())
            && let Ok(mut child) = unheard.0
            && let Err(error) = child.kill()
        {
            tracing::warn!(%error, pid = child.id(), "cannot end a process nobody waits for");
        }
    }
}
