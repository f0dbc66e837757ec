//! A WebSocket client on a bare socket, or on TLS, which masks, fragments and lies exactly as told.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};

use crate::tls_files::{self, HOST};

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CONTINUE: u8 = 0;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// The handshake every well-behaved client sends, without its last line.
pub const HANDSHAKE: &str = "GET /v1/ws HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\n\
     connection: keep-alive, Upgrade\r\nsec-websocket-version: 13\r\n\
     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: harkara.v1.json\r\n";

pub struct Client {
    pub wire: Wire,
}

/// What the client speaks on.
pub enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// As the test wants it; the TLS handshake happens with the first byte.
    pub fn over(socket: TcpStream) -> Self {
        if !tls_files::is_on() {
            return Self::Plain(socket);
        }
        Self::secure(socket, &tls_files::client())
    }

    pub fn secure(socket: TcpStream, config: &Arc<rustls::ClientConfig>) -> Self {
        let name = ServerName::try_from(HOST).unwrap();
        let session = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self::Tls(Box::new(StreamOwned::new(session, socket)))
    }

    /// The socket below.
    pub const fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// Says that nothing more will come.
    pub fn half_close(&mut self) {
        match self {
            Self::Plain(socket) => socket.shutdown(Shutdown::Write).unwrap(),
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush().unwrap();
                stream.sock.shutdown(Shutdown::Write).unwrap();
            }
        }
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    /// TLS without its last word: the other end vanished, or somebody cut it off.
    Cut,
    Reset,
}

impl Client {
    /// Connects without a word.
    pub fn bare(address: SocketAddr) -> Self {
        Self { wire: Wire::over(Self::socket(address)) }
    }

    pub fn socket(address: SocketAddr) -> TcpStream {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    /// Connects and upgrades.
    pub fn open(address: SocketAddr) -> Self {
        let mut client = Self::bare(address);
        client.upgrade();
        client
    }

    /// Upgrades.
    pub fn upgrade(&mut self) {
        self.raw(format!("{HANDSHAKE}\r\n").as_bytes());
        self.upgraded();
    }

    /// Connects with the smallest receive buffer there is, and upgrades.
    pub fn open_narrow(address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        let socket = TcpStream::from(socket);
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = Self { wire: Wire::over(socket) };
        client.upgrade();
        client
    }

    /// Reads the head of a 101.
    pub fn upgraded(&mut self) -> String {
        let head = self.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert!(head.contains("sec-websocket-protocol: harkara.v1.json\r\n"), "{head}");
        head
    }

    pub fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.bytes(1)[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// Sends a request and reads the whole answer, to the end of the connection.
    pub fn answer(address: SocketAddr, request: &str) -> (u16, String) {
        let mut client = Self::bare(address);
        client.raw(request.as_bytes());
        let mut answer = Vec::new();
        match client.wire.read_to_end(&mut answer) {
            Ok(_) => {}
            // After a request that is none, the dispatcher leaves without TLS' last word.
            Err(error) => assert_eq!(error.kind(), ErrorKind::UnexpectedEof),
        }
        let answer = String::from_utf8(answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.wire.write_all(bytes).unwrap();
        self.wire.flush().unwrap();
    }

    /// Sends one masked frame.
    pub fn frame(&mut self, last: bool, opcode: u8, payload: &[u8]) {
        self.raw(&frame(last, opcode, payload));
    }

    pub fn text(&mut self, text: &str) {
        self.frame(true, TEXT, text.as_bytes());
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.wire.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads one frame: opcode and payload.
    pub fn read(&mut self) -> (u8, Vec<u8>) {
        let head = self.bytes(2);
        assert_eq!(head[0] & 0xf0, 0x80, "one whole frame without reserved bits");
        let length = match head[1] {
            126 => usize::from(u16::from_be_bytes(self.bytes(2).try_into().unwrap())),
            127 => u64::from_be_bytes(self.bytes(8).try_into().unwrap()).try_into().unwrap(),
            short => usize::from(short),
        };
        (head[0] & 0x0f, self.bytes(length))
    }

    pub fn read_text(&mut self) -> String {
        let (opcode, payload) = self.read();
        assert_eq!(opcode, TEXT, "{:?}", String::from_utf8_lossy(&payload));
        String::from_utf8(payload).unwrap()
    }

    /// Reads a close frame and the end of the connection; gives code and reason.
    pub fn closed(&mut self) -> (u16, String) {
        let (opcode, payload) = self.read();
        assert_eq!(opcode, CLOSE);
        assert_eq!(self.end(), End::Closed);
        match payload.as_slice() {
            [] => (1005, String::new()),
            [high, low, reason @ ..] => {
                (u16::from_be_bytes([*high, *low]), String::from_utf8(reason.to_vec()).unwrap())
            }
            [_] => panic!("half a close code"),
        }
    }

    /// Reads to the end of the connection.
    pub fn end(&mut self) -> End {
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.wire.read(&mut bytes) {
                Ok(0) => return End::Closed,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return End::Reset,
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return End::Cut,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// One frame, masked.
pub fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = header(last, opcode, payload.len() as u64);
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The header of a masked frame, up to the mask.
pub fn header(last: bool, opcode: u8, length: u64) -> Vec<u8> {
    let mut header = vec![opcode | if last { 0x80 } else { 0 }];
    match length {
        0..126 => header.push(0x80 | length as u8),
        126..65_536 => {
            header.push(0x80 | 126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(0x80 | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header
}
