//! The simplest client: one request at a time on a plain socket, everything else is read over. For
//! the checker's reading and for setting measurements up.

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{connect, token::Account};
use crate::times;

/// Times that something is asked for while the server says "later".
const ATTEMPTS: u32 = 20;

/// See the module.
#[derive(Debug)]
pub struct Caller {
    socket: connect::Socket,
    next_id: u64,
}

impl Caller {
    /// Connects and starts a session.
    ///
    /// # Errors
    /// When there is none.
    pub async fn start(url: &str, account: &Account) -> anyhow::Result<Self> {
        let socket = match connect::open(url, &account.token).await {
            Ok(socket) => socket,
            Err(failure) => bail!("no session: {failure:?}"),
        };
        let mut caller = Self { socket, next_id: 0 };
        caller.ask("session.start", json!({})).await?;
        Ok(caller)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When the answer is an error, or none comes.
    pub async fn ask(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        for attempt in 0..ATTEMPTS {
            self.next_id += 1;
            let id = self.next_id;
            let frame = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
            self.socket.send(Message::text(frame.to_string())).await?;
            let mut answer = self.answer(id).await?;
            if answer.get("error").is_none() {
                return Ok(answer["result"].take());
            }
            if answer["error"]["data"]["retryable"] != true {
                bail!("{method}: {}", answer["error"]);
            }
            tokio::time::sleep(times::backoff(attempt)).await;
        }
        bail!("{method} is still unavailable")
    }

    async fn answer(&mut self, id: u64) -> anyhow::Result<Value> {
        loop {
            let message = self.socket.next().await.context("the connection ended")??;
            let Message::Text(text) = message else { continue };
            let value: Value = serde_json::from_str(&text)?;
            if value["id"] == id {
                return Ok(value);
            }
        }
    }

    /// Ends the session.
    pub async fn close(mut self) {
        // The server notices either way.
        let _ = self.socket.close(None).await;
    }
}
