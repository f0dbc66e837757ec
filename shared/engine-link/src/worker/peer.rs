//! One gateway's connection, seen from the worker: its greeting, its questions, its lanes.

use std::{net::SocketAddr, sync::Arc};

use harkara_protocol::link::{self, Frame};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{WorkerEnd, asks::Asks};
use crate::{
    frames::{self, Ended, Frames, Number},
    options::{GREETING_BYTES_MAX, LANE_BITS},
    outbox::Outbox,
    tls,
};

/// A gateway process that is connected.
pub struct Gateway {
    pub number: u64,
    pub outbox: Outbox,
}

/// Serves a connection until it ends.
pub async fn serve(end: Arc<WorkerEnd>, stream: TcpStream, from: SocketAddr) {
    if let Err(error) = frames::prepare(&stream) {
        tracing::warn!(%from, %error, "no link taken: the socket is of no use");
        return;
    }
    let Some(link_tls) = &end.options.tls else {
        let (reader, writer) = stream.into_split();
        return speak(&end, reader, writer, from).await;
    };
    let accepted = tokio::select! {
        () = end.stop.cancelled() => return,
        accepted = tls::accept(link_tls, stream, &end.options) => accepted,
    };
    match accepted {
        Ok(stream) => {
            let (reader, writer) = tokio::io::split(stream);
            speak(&end, reader, writer, from).await;
        }
        Err(reason) => refused(&end, from, &reason),
    }
}

fn refused(end: &WorkerEnd, from: SocketAddr, reason: &Ended) {
    end.stats.refused();
    tracing::warn!(%from, %reason, "no link taken");
}

async fn speak<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    end: &Arc<WorkerEnd>,
    reader: R,
    writer: W,
    from: SocketAddr,
) {
    let greeted = tokio::select! {
        () = end.stop.cancelled() => return,
        greeted = greet(end, reader, writer) => greeted,
    };
    match greeted {
        Ok((frames, writer, number)) => {
            let shown = Number(number);
            tracing::info!(%from, gateway = %shown, "link up");
            let reason = connected(end, frames, writer, number).await;
            tracing::warn!(%from, gateway = %shown, %reason, "link down");
        }
        Err(reason) => refused(end, from, &reason),
    }
}

/// Hears who it is, and says who is here.
async fn greet<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    end: &WorkerEnd,
    reader: R,
    mut writer: W,
) -> Result<(Frames<R>, W, u64), Ended> {
    let options = &end.options;
    let mut frames = Frames::new(reader, options);
    let heard = match frames.next(GREETING_BYTES_MAX).await {
        Ok((Frame::Hello { protocol, cluster, gateway }, ..)) => {
            frames::agree(options, protocol, &cluster).map(|()| gateway).map_err(Ended::OutOfPlace)
        }
        Ok(_) => Err(Ended::OutOfPlace("a gateway begins with its hello".to_owned())),
        Err(ended) => Err(ended),
    };
    // The other end has the lower bits for its lanes.
    let heard = heard.and_then(|number| {
        let fits = number >> (u64::BITS - LANE_BITS) == 0;
        fits.then_some(number)
            .ok_or_else(|| Ended::OutOfPlace(format!("{number} is no gateway's number")))
    });
    match heard {
        Ok(number) => {
            let (protocol, cluster) = (link::PROTOCOL, options.cluster.clone());
            let window = options.ask_bytes.max(1) as u64;
            let welcome = Frame::Welcome { protocol, cluster, window };
            frames::greet(&mut writer, &welcome, options).await?;
            Ok((frames, writer, number))
        }
        Err(ended) => {
            // A last word, if the other end takes it.
            let reason = Frame::Ended { reason: ended.to_string() };
            let _ = frames::greet(&mut writer, &reason, options).await;
            Err(ended)
        }
    }
}

/// A gateway that greeted, until its connection ends; why it did.
async fn connected<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    end: &Arc<WorkerEnd>,
    frames: Frames<R>,
    writer: W,
    number: u64,
) -> Ended {
    let options = &end.options;
    let stop = end.stop.child_token();
    let outbox =
        Outbox::new(options.gateway_bytes, options.endpoint_bytes, stop, Arc::clone(&end.stats));
    let gateway = Arc::new(Gateway { number, outbox });
    end.connected(&gateway);
    let up = Up { end, gateway: Arc::clone(&gateway) };
    let mut asks = Asks::new(Arc::clone(end), gateway);
    let take = |frame, size: usize, _: &[u8]| take(&up.gateway, &mut asks, frame, size);
    frames::drive(frames, writer, &up.gateway.outbox, options, take).await
}

/// Ends with the connection, however that ends: forwarders of questions end, and pushes say that
/// the endpoints are gone.
struct Up<'a> {
    end: &'a WorkerEnd,
    gateway: Arc<Gateway>,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.gateway.outbox.end(None);
        self.gateway.outbox.stop.cancel();
        self.end.disconnected(&self.gateway);
    }
}

/// What a gateway says.
fn take(gateway: &Gateway, asks: &mut Asks, frame: Frame, size: usize) -> Result<(), Ended> {
    match frame {
        Frame::Ask { .. } => return asks.take(frame, size),
        Frame::Opened { lane } => gateway.outbox.open(lane),
        Frame::Closed { lane } => gateway.outbox.close(lane),
        Frame::Resume { lane } => gateway.outbox.resume(lane),
        Frame::Beat => {}
        other => return Err(Ended::OutOfPlace(format!("a gateway does not say {other:?}"))),
    }
    Ok(())
}
