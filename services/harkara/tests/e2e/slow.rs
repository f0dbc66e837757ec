//! Clients that do not read or are not there any more: they go, and nobody else notices.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::support::{
    Client, Home, SOON, Server, Stopwatch,
    client::{Frame, message},
    http, until, uuid,
};

/// A session that was started by hand and is not read from any more.
fn mute_session(server: &Server, name: &str) -> TcpStream {
    let more = format!(
        "sec-websocket-protocol: harkara.v1.json\r\nauthorization: Bearer {}\r\n",
        server.token(name)
    );
    let mut stream = connect_with_a_small_window(server.entrance());
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(http::upgrade("/v1/ws", &more).as_bytes()).unwrap();
    let start = json!({"jsonrpc": "2.0", "id": 1, "method": "session.start"}).to_string();
    let length = u8::try_from(start.len()).unwrap();
    let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], start.as_bytes()].concat();
    stream.write_all(&frame).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("\"server_time\"") {
        let mut bytes = [0; 512];
        let n = stream.read(&mut bytes).unwrap();
        assert!(n > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&bytes[..n]);
    }
    stream
}

fn connect_with_a_small_window(at: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&at.into()).unwrap();
    socket.into()
}

/// Everybody who reads gets the next events.
async fn all_read(clients: [&mut Client; 2], conversation: &str, from: u64, to: u64) {
    for client in clients {
        for seq in from..=to {
            client.event(conversation, seq).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_goes_and_nobody_else_notices() {
    const ROUNDS: u64 = 60;
    const EACH: u64 = 50;
    let home = Home::new();
    let mut server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let mut bilal = Client::join(&server, "bilal").await;
    let chitra = harkara_domain::UserId::development("chitra").to_string();
    let group = asha.create("group", None, &[&bilal.user.clone(), &chitra]).await;
    bilal.told("conversation", &group).await;
    let mute = mute_session(&server, "chitra");
    assert_eq!(server.metrics().sum("harkara_sessions", ""), 3.0);
    let (text, watch) = ("x".repeat(3_000), Stopwatch::start());
    let mut memory = Vec::new();
    for round in 0..ROUNDS {
        for _ in 0..EACH {
            asha.post("message.send", message(&group, &uuid(), &text)).await;
        }
        let from = 2 + round * EACH;
        all_read([&mut asha, &mut bilal], &group, from, from + EACH - 1).await;
        memory.push(server.memory());
    }
    println!("9 MB of events to two readers in {:?}", watch.elapsed());
    let (early, late) = (memory[memory.len() / 4], memory[memory.len() - 1]);
    assert!(late < early + (48 << 20), "memory grew from {early} to {late} bytes");
    until("the mute one is gone", || {
        (server.metrics().sum("harkara_sessions", "") == 2.0).then_some(())
    });
    println!("gone after {:?}", watch.elapsed());
    assert!(watch.elapsed() < SOON, "{:?}", watch.elapsed());
    // Asked for something, all still goes on.
    asha.say(&group, "after").await;
    bilal.event(&group, 2 + ROUNDS * EACH).await;
    // So much at once may have been more than it can do, and then nobody new is let in.
    until("calm", || (server.metrics().sum("harkara_overload_stage", "") == 0.0).then_some(()));
    let mut chitra = Client::join_as(&server, "chitra", "default", json!({group.clone(): 1})).await;
    assert_eq!(chitra.started["conversations"][0]["behind"], true);
    assert_eq!(chitra.entry(&group).await["unread"], ROUNDS * EACH + 1);
    assert!(server.is_alive());
    drop(mute);
}

#[tokio::test]
async fn a_socket_with_nobody_behind_it_dies_by_the_heartbeat() {
    let home = Home::new();
    let server = home.launch().env("HARKARA_GATEWAY__HEARTBEAT", "500ms").start();
    let mut asha = Client::join(&server, "asha").await;
    assert_eq!(asha.started["limits"]["heartbeat_ms"], 500);
    let watch = Stopwatch::start();
    let gone = mute_session(&server, "bilal");
    // asha answers pings, as long as she is read.
    while server.metrics().sum("harkara_sessions_evicted_total", "silent") < 1.0 {
        assert!(watch.elapsed() < SOON, "the silent one stays");
        asha.call("users.get", json!({"users": []})).await;
        tokio::time::sleep(crate::support::wait::LOOK).await;
    }
    assert_eq!(server.metrics().sum("harkara_sessions", ""), 1.0);
    asha.call("users.get", json!({"users": []})).await;
    drop(gone);
}

#[tokio::test]
async fn who_asks_for_much_at_once_is_held_back_and_answered() {
    let home = Home::new();
    let server = home.start();
    let mut asha = Client::join(&server, "asha").await;
    let group = asha.create("group", None, &[]).await;
    let mut waiting = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        waiting.insert(asha.post("timeline.read", json!({"conversation": group})).await);
    }
    while !waiting.is_empty() {
        let Frame::Json(frame) = asha.frame().await else { panic!("closed") };
        if let Some(id) = frame["id"].as_u64() {
            assert_eq!(frame["result"]["head"], 1, "{frame}");
            assert!(waiting.remove(&id));
        }
    }
}
