//! A future that hardly ever has news, beside one that has them all the time.
//!
//! `select!` polls all of its branches whenever one was woken. A transfer in lock step asked so with each packet whether its device,
//! its network or its tenant was gone. Here a future is polled only if it was woken itself.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// The polls of one future.
#[derive(Debug)]
pub(crate) struct Seldom {
    news: Arc<News>,
    /// What the future knows to wake.
    waker: Waker,
    /// The task that was told to `news`.
    task: Option<Waker>,
}

#[derive(Debug)]
struct News {
    are_there: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Seldom {
    /// Before the first poll, which reaches the future.
    pub(crate) fn new() -> Self {
        let news = Arc::new(News { are_there: AtomicBool::new(true), task: Mutex::default() });
        Self { waker: Waker::from(Arc::clone(&news)), news, task: None }
    }

    /// Polls the future if it was woken, and always the same one.
    pub(crate) fn poll<F: Future>(&mut self, cx: &Context<'_>, future: Pin<&mut F>) -> Poll<F::Output> {
        if self.task.as_ref().is_none_or(|task| !task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            self.news.tell_to(cx.waker().clone());
        }
        // The task was told to `news` before this look, and is woken by whatever comes behind it.
        if !self.news.are_there.load(Ordering::Acquire) || !self.news.are_there.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        future.poll(&mut Context::from_waker(&self.waker))
    }
}

impl News {
    fn tell_to(&self, task: Waker) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.are_there.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;

    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_once_and_then_only_when_it_was_woken() {
        let (sender, mut receiver) = oneshot::channel();
        let polls = Cell::new(0);
        let mut rare = pin!(poll_fn(|cx| {
            polls.set(polls.get() + 1);
            Pin::new(&mut receiver).poll(cx)
        }));
        let mut sender = Some(sender);
        let mut often = pin!(async {
            for _ in 0..100 {
                yield_now().await;
            }
            assert_eq!(polls.get(), 1);
            if let Some(sender) = sender.take() {
                assert!(sender.send(7).is_ok());
            }
            std::future::pending::<()>().await;
        });
        let mut seldom = Seldom::new();
        let news = poll_fn(|cx| {
            let news = seldom.poll(cx, rare.as_mut());
            if news.is_pending() {
                assert!(often.as_mut().poll(cx).is_pending());
            }
            news
        });
        assert_eq!(news.await, Ok(7));
        assert_eq!(polls.get(), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_news_are_lost_whenever_they_come_and_whatever_task_waits() {
        for _ in 0..1000 {
            let (sender, mut receiver) = oneshot::channel::<()>();
            let told = tokio::spawn(async move { sender.send(()) });
            let mut seldom = Seldom::new();
            // It is polled by this task, and then by another one.
            let first = poll_fn(|cx| Poll::Ready(seldom.poll(cx, Pin::new(&mut receiver)))).await;
            if first.is_pending() {
                let rest = poll_fn(move |cx| seldom.poll(cx, Pin::new(&mut receiver)));
                assert!(tokio::spawn(rest).await.is_ok_and(|told| told.is_ok()));
            }
            assert!(told.await.is_ok());
        }
    }
}
