//! Getting a token and a WebSocket, and writing to it: what the task starts and waits for.

use std::time::Duration;

use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use harkara_protocol::json::SUBPROTOCOL;
use http::HeaderValue;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        handshake::client::Request,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    address::Address,
    devtoken::{self, DevTokenError},
    options::TokenSource,
    session::Failure,
    tls::{self, Stream},
};

type Socket = WebSocketStream<Box<dyn Stream>>;

/// Frames on their way to the socket; what doesn't fit waits with the task.
const WRITER_QUEUE: usize = 16;

/// A page of 500 of the largest events is 16 MiB and some.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// Read and write buffers of a connection. Larger frames make them grow.
const BUFFER_BYTES: usize = 8 * 1024;

/// How long a farewell may take.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// What came of dialing.
pub(super) struct Dialed {
    /// The token in use, for the next time.
    pub(super) token: Option<String>,
    /// The connection.
    pub(super) result: Result<Connection, Failure>,
}

/// Gets a token if need be and connects.
pub(super) async fn dial(
    address: Address,
    source: TokenSource,
    cached: Option<String>,
    time_max: Duration,
) -> Dialed {
    let token = match cached {
        Some(token) => token,
        None => match fetch(&address, &source).await {
            Ok(token) => token,
            Err(failure) => return Dialed { token: None, result: Err(failure) },
        },
    };
    let result = match timeout(time_max, open(&address, &token)).await {
        Ok(result) => result,
        Err(_) => Err(Failure::Network("no answer in time".to_owned())),
    };
    Dialed { token: Some(token), result }
}

async fn fetch(address: &Address, source: &TokenSource) -> Result<String, Failure> {
    let failed = |text, hopeless| Failure::Token { text, hopeless };
    match source {
        TokenSource::Fixed(token) => Ok(token.clone()),
        TokenSource::Ask(ask) => ask().await.map_err(|text| failed(text, false)),
        TokenSource::Dev { user, device } => {
            match devtoken::ask(address, user, device.as_deref()).await {
                Ok(made) => Ok(made.token),
                Err(DevTokenError::Io(e)) => Err(Failure::Network(e.to_string())),
                Err(e) => {
                    let hopeless = matches!(e, DevTokenError::Refused { status: 400..=428, .. });
                    Err(failed(e.to_string(), hopeless))
                }
            }
        }
    }
}

fn request(address: &Address, token: &str) -> Result<Request, Failure> {
    let bad = |problem: String| Failure::BadUrl { url: address.url.clone(), problem };
    let mut request = address.url.as_str().into_client_request().map_err(|e| bad(e.to_string()))?;
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Failure::Token {
        text: "the token has characters that no header takes".to_owned(),
        hopeless: true,
    })?;
    let headers = request.headers_mut();
    headers.insert(http::header::AUTHORIZATION, bearer);
    headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    Ok(request)
}

async fn open(address: &Address, token: &str) -> Result<Connection, Failure> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let request = request(address, token)?;
    let stream = tls::connect(address).await;
    let stream = stream.map_err(|error| Failure::Network(error.to_string()))?;
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(Connection::new(socket)),
        Err(tungstenite::Error::Http(response)) => {
            let seconds = response.headers().get(http::header::RETRY_AFTER);
            let seconds = seconds.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
            let retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
            Err(Failure::Status { status: response.status().as_u16(), retry_after_ms })
        }
        Err(error) => Err(Failure::Network(error.to_string())),
    }
}

/// An open WebSocket: the reading half here, the writing half with a task of its own, so that a
/// server that doesn't read never keeps us from reading.
pub(super) struct Connection {
    pub(super) reader: SplitStream<Socket>,
    pub(super) writer: mpsc::Sender<Message>,
    task: JoinHandle<()>,
}

impl Connection {
    fn new(socket: Socket) -> Self {
        let (sink, reader) = socket.split();
        let (writer, frames) = mpsc::channel(WRITER_QUEUE);
        Self { reader, writer, task: tokio::spawn(write(sink, frames)) }
    }

    /// The server has closed: lets the answering close frame out, in the background.
    pub(super) fn answer_close(mut self) {
        tokio::spawn(timeout(FAREWELL_MAX, async move {
            while let Some(Ok(_)) = self.reader.next().await {}
        }));
    }

    /// Closes from this side.
    pub(super) async fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let farewell = async {
            if self.writer.send(Message::Close(Some(frame))).await.is_ok() {
                while let Some(Ok(_)) = self.reader.next().await {}
            }
        };
        if timeout(FAREWELL_MAX, farewell).await.is_err() {
            tracing::debug!("the server does not answer the close frame");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes frames, as many at one flush as are there. An error shows on the reading half too.
async fn write(mut sink: SplitSink<Socket, Message>, mut frames: mpsc::Receiver<Message>) {
    while let Some(frame) = frames.recv().await {
        if sink.feed(frame).await.is_err() {
            return;
        }
        while let Ok(frame) = frames.try_recv() {
            if sink.feed(frame).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
}
