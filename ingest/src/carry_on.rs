//! Work that goes on when nobody waits for it any more.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that is finished by a task of its own when it is dropped before its end. As long as somebody awaits it, it
/// costs no task.
pub(crate) struct CarryOn<T: Send + 'static> {
    work: Option<Work<T>>,
    tasks: TaskTracker,
}

impl<T: Send + 'static> CarryOn<T> {
    /// `work`, which ends among `tasks` if it has to.
    pub(crate) fn new(tasks: &TaskTracker, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), tasks: tasks.clone() }
    }
}

impl<T: Send + 'static> fmt::Debug for CarryOn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CarryOn").field("has_ended", &self.work.is_none()).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Future for CarryOn<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Out of its place meanwhile: work that panics is not carried on.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for CarryOn<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && let Ok(runtime) = Handle::try_current()
        {
            drop(self.tasks.spawn_on(async move { drop(work.await) }, &runtime));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn f_3_what_was_begun_ends_also_when_nobody_waits() {
        let tasks = TaskTracker::new();
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let mut work = Box::pin(CarryOn::new(&tasks, async move {
            drop(gone.await);
            tell.send("done")
        }));
        assert!(futures_are_pending(&mut work).await);
        drop(work);
        go.send(()).unwrap();
        assert_eq!(told.await, Ok("done"));
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn who_waits_gets_the_result_without_a_task() {
        let tasks = TaskTracker::new();
        assert_eq!(CarryOn::new(&tasks, async { 7 }).await, 7);
        assert!(tasks.is_empty());
    }

    async fn futures_are_pending(work: &mut (impl Future + Unpin)) -> bool {
        std::future::poll_fn(|context| Poll::Ready(Pin::new(&mut *work).poll(context).is_pending())).await
    }
}
