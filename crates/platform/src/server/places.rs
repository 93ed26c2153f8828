//! A bounded number of open connections, and a short answer for those beyond.

use std::{io, sync::Arc, time::Duration};

use axum::{body::to_bytes, http::header, response::IntoResponse};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    finish::harden,
    metrics::{self, Refused},
};
use crate::{
    detached::head,
    envelope::{ApiError, CORRELATION_ID, CorrelationId},
};

/// Connections that are being told that there is no room. Beyond them a connection is closed without a word.
const TOLD_AT_ONCE_MAX: usize = 1_024;
/// How long telling one of them may take.
const TELLING_MAX: Duration = Duration::from_secs(1);
/// The longest wait that is asked for, in seconds: they shall not all come back in one moment.
const RETRY_AFTER_MAX: u64 = 3;
const BODY_BYTES_MAX: usize = 1_024;

/// The places for connections.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    telling: Arc<Semaphore>,
}

/// A place that is taken; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::closed();
    }
}

impl Places {
    pub(super) fn new(connections_max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(connections_max)), telling: Arc::new(Semaphore::new(TOLD_AT_ONCE_MAX)) }
    }

    /// A place for a connection, when there is one.
    pub(super) fn take(&self) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        metrics::opened();
        Some(Place { _permit: permit })
    }

    /// Closes a connection for which there is no place. Does not wait for it.
    pub(super) fn refuse(&self, stream: TcpStream) {
        Refused::Connection.count();
        let Ok(permit) = self.telling.clone().try_acquire_owned() else { return };
        tokio::spawn(async move {
            if let Ok(Err(error)) = timeout(TELLING_MAX, tell(stream)).await {
                tracing::debug!(%error, "a connection too many broke before it was told so");
            }
            drop(permit);
        });
    }
}

/// Answers without having read a request. What the client sends meanwhile is read and dropped: a socket that is closed
/// over unread bytes is reset, and the answer may be lost with it.
async fn tell(mut stream: TcpStream) -> io::Result<()> {
    let error = ApiError::unavailable(rand::random_range(1..=RETRY_AFTER_MAX));
    let mut response = error.into_response();
    harden(&mut response);
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.map_err(io::Error::other)?;
    parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    parts.headers.insert(CORRELATION_ID, CorrelationId::new().into_header());
    let mut answer = head(&parts);
    answer.extend_from_slice(&body);
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    let mut dropped = [0; 1_024];
    while stream.read(&mut dropped).await? > 0 {}
    Ok(())
}
