//! The PROXY protocol, version 2: a balancer says in front of a connection whose it is
//! (<https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>). [`super::entrance`] reads it.
//!
//! Danger: who may send it may claim any address. Only proxies that the settings name are
//! believed, and they must send it, so that nobody gets through them under the proxy's own name.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family, length.
const FIXED_BYTES: usize = 16;

/// Longest rest of a header: addresses of 36 bytes, and extensions, which nobody here reads.
/// Balancers send some hundred bytes of those (names of TLS servers, endpoint ids).
const REST_BYTES_MAX: usize = 4 * 1024;

/// Families with their protocol. Others are for datagrams and sockets of one machine.
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// Why a connection is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("the connection ended without a word")]
    Nothing,
    #[error("the connection ended within its PROXY header: {0}")]
    Cut(#[from] io::Error),
    #[error("there is no PROXY header of version 2: turn it on in the proxy (send-proxy-v2)")]
    Missing,
    #[error("the PROXY header has version {0}, and this server reads version 2")]
    Version(u8),
    #[error("the PROXY header has an unknown command, {0}")]
    Command(u8),
    #[error("the PROXY header is for a family or protocol other than TCP, {0:#04x}")]
    Family(u8),
    #[error(
        "the PROXY header has {0} bytes behind its beginning, and at most {REST_BYTES_MAX} are read"
    )]
    Long(usize),
    #[error("the PROXY header has {0} bytes of addresses, too few for its family")]
    Short(usize),
}

/// What the first bytes say is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Beginning {
    /// The proxy speaks for itself, as in a health check.
    local: bool,
    family: u8,
    rest: usize,
}

/// Reads a header, not a byte more. None: the proxy speaks for itself, or does not know for whom.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, ProxyError> {
    let (mut fixed, mut read) = ([0; FIXED_BYTES], 0);
    while let Some(room) = fixed.get_mut(read..).filter(|room| !room.is_empty()) {
        match stream.read(room).await? {
            0 if read == 0 => return Err(ProxyError::Nothing),
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            more => read += more,
        }
        // Looked at each time: who is no proxy may have said all that it will say.
        if !fixed.iter().zip(SIGNATURE).take(read).all(|(found, right)| *found == right) {
            return Err(ProxyError::Missing);
        }
    }
    let beginning = beginning(&fixed)?;
    let mut rest = vec![0; beginning.rest];
    stream.read_exact(&mut rest).await?;
    addressed(beginning, &rest)
}

fn beginning(fixed: &[u8; FIXED_BYTES]) -> Result<Beginning, ProxyError> {
    let [signature @ .., command, family, high, low] = fixed;
    if *signature != SIGNATURE {
        return Err(ProxyError::Missing);
    }
    if command >> 4 != 2 {
        return Err(ProxyError::Version(command >> 4));
    }
    let local = match command & 0x0f {
        0 => true,
        1 => false,
        other => return Err(ProxyError::Command(other)),
    };
    let rest = usize::from(u16::from_be_bytes([*high, *low]));
    if rest > REST_BYTES_MAX {
        return Err(ProxyError::Long(rest));
    }
    Ok(Beginning { local, family: *family, rest })
}

/// Whose connection it is; the destination and extensions are skipped.
fn addressed(beginning: Beginning, rest: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let short = || ProxyError::Short(rest.len());
    match beginning.family {
        // What stands behind it is not looked at, as the protocol has it.
        _ if beginning.local => Ok(None),
        UNSPECIFIED => Ok(None),
        TCP_OVER_IPV4 => {
            let [a, b, c, d, _, _, _, _, high, low, _, _] =
                *rest.first_chunk::<12>().ok_or_else(short)?;
            let port = u16::from_be_bytes([high, low]);
            Ok(Some(SocketAddr::from((Ipv4Addr::new(a, b, c, d), port))))
        }
        TCP_OVER_IPV6 => {
            let (source, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
            let (_, ports) = rest.split_first_chunk::<16>().ok_or_else(short)?;
            let [high, low, _, _] = *ports.first_chunk::<4>().ok_or_else(short)?;
            let ip = Ipv6Addr::from(*source).to_canonical();
            Ok(Some(SocketAddr::new(ip, u16::from_be_bytes([high, low]))))
        }
        other => Err(ProxyError::Family(other)),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::IpAddr,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use proptest::prelude::*;

    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    /// The result, and how many bytes are left.
    fn read_all(mut bytes: &[u8]) -> (Result<Option<SocketAddr>, String>, usize) {
        let polled = pin!(read(&mut bytes)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(read) = polled else { panic!("memory never waits") };
        (read.map_err(|error| error.to_string()), bytes.len())
    }

    #[test]
    fn addresses_are_the_source() {
        let four = [[192, 0, 2, 7], [10, 0, 0, 1]].concat();
        let ports = [0x30, 0x39, 0x1f, 0x90];
        let six = ["2001:db8::7", "2001:db8::1"].map(|it| it.parse::<Ipv6Addr>().unwrap().octets());
        let mapped = Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped().octets();
        let extension = [4, 0, 2, 0xff, 0xff];
        for (command, family, rest, expected) in [
            (0x21, 0x11, [&four[..], &ports].concat(), Some("192.0.2.7:12345")),
            (0x21, 0x11, [&four[..], &ports, &extension].concat(), Some("192.0.2.7:12345")),
            (0x21, 0x21, [&six.concat()[..], &ports].concat(), Some("[2001:db8::7]:12345")),
            (0x21, 0x21, [&mapped, &six[1][..], &ports].concat(), Some("192.0.2.7:12345")),
            (0x21, 0x00, Vec::new(), None),
            (0x21, 0x00, four.clone(), None),
            // A health check.
            (0x20, 0x00, Vec::new(), None),
            (0x20, 0x11, [&four[..], &ports].concat(), None),
            (0x20, 0x31, vec![0; 216], None),
        ] {
            let bytes = [&header(command, family, &rest)[..], b"GET /"].concat();
            let expected = expected.map(|it| it.parse().unwrap());
            assert_eq!(read_all(&bytes), (Ok(expected), 5), "{command:#x} {family:#x}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused_with_its_reason() {
        let long = vec![0; REST_BYTES_MAX + 1];
        let good = header(0x21, 0x11, &[0; 12]);
        for (bytes, what) in [
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "there is no PROXY header of version 2"),
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), "there is no PROXY header"),
            (b"\r\n\r\nG".to_vec(), "there is no PROXY header"),
            (header(0x11, 0x11, &[0; 12]), "has version 1"),
            (header(0x22, 0x11, &[0; 12]), "unknown command, 2"),
            (header(0x21, 0x12, &[0; 12]), "other than TCP, 0x12"),
            (header(0x21, 0x31, &[0; 216]), "other than TCP, 0x31"),
            (header(0x21, 0x11, &[0; 11]), "11 bytes of addresses"),
            (header(0x21, 0x21, &[0; 35]), "35 bytes of addresses"),
            (header(0x21, 0x11, &long), "has 4097 bytes behind its beginning"),
            (good[..20].to_vec(), "ended within its PROXY header"),
            (good[..5].to_vec(), "ended within its PROXY header"),
            (Vec::new(), "ended without a word"),
        ] {
            let error = read_all(&bytes).0.unwrap_err();
            assert!(error.contains(what), "{error:?} does not say {what:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fall_over(
            command in 0x1f_u8..0x24, family: u8, length: u16,
            rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = header(command, family, &[]);
            bytes[14..16].copy_from_slice(&length.to_be_bytes());
            bytes.extend(rest);
            let (_, left) = read_all(&bytes);
            // Never more than the header.
            prop_assert!(bytes.len() - left <= FIXED_BYTES + usize::from(length));
        }

        #[test]
        fn what_is_written_is_read(
            ip: IpAddr, port: u16, extensions in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let (family, mut rest) = match ip {
                IpAddr::V4(ip) => (0x11, [ip.octets(); 2].concat()),
                IpAddr::V6(ip) => (0x21, [ip.octets(); 2].concat()),
            };
            rest.extend([port.to_be_bytes(); 2].concat());
            rest.extend(extensions);
            let expected = SocketAddr::new(ip.to_canonical(), port);
            prop_assert_eq!(read_all(&header(0x21, family, &rest)), (Ok(Some(expected)), 0));
        }
    }
}
