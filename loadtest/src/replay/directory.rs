//! Who is who: names to users, devices and tokens, each asked for once.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use tokio::sync::OnceCell;

use crate::{
    journal::Line,
    times,
    wire::{Settings, client::Identity, token},
};

/// See the module.
#[derive(Debug)]
pub struct Directory {
    settings: Settings,
    urls: Vec<String>,
    known: Mutex<HashMap<String, Arc<OnceCell<Identity>>>>,
    next: AtomicU32,
}

impl Directory {
    /// Knows nobody yet. Users are spread over the gateways at `urls`.
    #[must_use]
    pub fn new(settings: Settings, urls: Vec<String>) -> Self {
        Self { settings, urls, known: Mutex::new(HashMap::new()), next: AtomicU32::new(0) }
    }

    /// Everything that a client of this user needs.
    ///
    /// # Errors
    /// When the server gives no token for longer than the clients' patience.
    pub async fn identity(&self, name: &str) -> anyhow::Result<Identity> {
        let cell = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(name.to_owned()).or_default())
        };
        cell.get_or_try_init(|| self.introduce(name)).await.cloned()
    }

    async fn introduce(&self, name: &str) -> anyhow::Result<Identity> {
        let number = self.next.fetch_add(1, Relaxed);
        let first = number as usize;
        let started = times::now();
        let mut attempt = 0;
        let (account, url) = loop {
            // If its gateway is away, another one gives tokens, too.
            let url = &self.urls[(first + attempt as usize) % self.urls.len()];
            match token::fetch(url, name, &self.settings.device).await {
                Ok(account) => break (account, url.clone()),
                Err(error) if started.elapsed() > self.settings.patience => return Err(error),
                Err(_) => tokio::time::sleep(times::backoff(attempt)).await,
            }
            attempt += 1;
        };
        let (user, device) = (account.user, account.device);
        let line = Line::Client { c: number, name: name.to_owned(), user, device };
        self.settings.journal.line(line).await;
        Ok(Identity { number, name: name.to_owned(), account, url })
    }
}
