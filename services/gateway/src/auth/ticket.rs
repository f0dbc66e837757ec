//! Tickets: what a session is given for the next one. They hold who it was, until when its token
//! counts and which key signed that, and what the client's list of conversations was; so whoever
//! comes back costs a hash instead of a signature, on any gateway with the same key, and a list that
//! is as it was is not read again ([`crate::session`] compares).
//!
//! Danger: a ticket is worth as much as its token. It is opened only if the server's own code is on it,
//! ends with the token at the latest, and falls with the key that signed the token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use harkara_domain::{ConversationId, DeviceId, Generation, Seq, TenantId, UserId};

use super::{AuthError, Identity, KeyMark};

/// The first byte: which form follows.
const FORM: u8 = 1;

/// Form, tenant, user, device, end of the ticket, end of the token, key, list.
const BODY_BYTES: usize = 1 + 3 * 16 + 8 + 8 + 9 + 25;

const CODE_BYTES: usize = 32;

/// In base64 without padding: four letters for three bytes.
const TEXT_BYTES: usize = ((BODY_BYTES + CODE_BYTES) * 4).div_ceil(3);

/// Which list of conversations a client was told, and as of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListMark {
    /// Of the log that `version` counts in.
    pub generation: Generation,
    /// What the owner of the user's inbox said before the list was read.
    pub version: Seq,
    /// A hash of the conversations' ids.
    pub names: [u8; 8],
}

impl ListMark {
    /// The hash of these conversations, in rising order.
    #[must_use]
    pub fn names(of: impl Iterator<Item = ConversationId>) -> [u8; 8] {
        let mut hasher = blake3::Hasher::new();
        of.for_each(|id| {
            hasher.update(id.as_bytes());
        });
        let mut names = [0; 8];
        hasher.finalize_xof().fill(&mut names);
        names
    }
}

/// Makes tickets and opens them.
pub struct Tickets {
    key: [u8; 32],
    lifetime_ms: u64,
}

impl Tickets {
    /// With a key of their own, made from a secret and whatever else must not change.
    pub(super) fn new(secret: &[u8], lifetime_ms: u64) -> Self {
        Self { key: blake3::derive_key("harkara 2026 session ticket v1", secret), lifetime_ms }
    }

    /// A ticket for who this is.
    pub(super) fn seal(&self, of: &Identity, list: Option<ListMark>, now_ms: u64) -> String {
        let until = of.expires_at_ms.min(now_ms.saturating_add(self.lifetime_ms));
        let mut bytes = Vec::with_capacity(BODY_BYTES + CODE_BYTES);
        bytes.push(FORM);
        bytes.extend_from_slice(of.tenant.as_bytes());
        bytes.extend_from_slice(of.user.as_bytes());
        bytes.extend_from_slice(of.device.as_bytes());
        bytes.extend_from_slice(&until.to_be_bytes());
        bytes.extend_from_slice(&of.expires_at_ms.to_be_bytes());
        bytes.push(u8::from(of.signed_by.is_some()));
        bytes.extend_from_slice(&of.signed_by.map_or([0; 8], |mark| mark.0));
        let mark =
            list.unwrap_or(ListMark { generation: Generation(0), version: 0, names: [0; 8] });
        bytes.push(u8::from(list.is_some()));
        bytes.extend_from_slice(&mark.generation.0.to_be_bytes());
        bytes.extend_from_slice(&mark.version.to_be_bytes());
        bytes.extend_from_slice(&mark.names);
        let code = blake3::keyed_hash(&self.key, &bytes);
        bytes.extend_from_slice(code.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Who a ticket was given to, and the list that they were told.
    pub(super) fn open(
        &self,
        text: &str,
        now_ms: u64,
    ) -> Result<(Identity, Option<ListMark>), AuthError> {
        if text.len() != TEXT_BYTES {
            return Err(AuthError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| AuthError::Malformed)?;
        let Some((body, code)) = bytes.split_first_chunk::<BODY_BYTES>() else {
            return Err(AuthError::Malformed);
        };
        let code = blake3::Hash::from_slice(code).map_err(|_| AuthError::Malformed)?;
        // In constant time: that is what this type compares in.
        if blake3::keyed_hash(&self.key, body) != code {
            return Err(AuthError::Signature);
        }
        let (until, identity, list) = read(body).ok_or(AuthError::Malformed)?;
        if now_ms >= until { Err(AuthError::Expired) } else { Ok((identity, list)) }
    }
}

/// The parts of a body that is ours.
fn read(body: &[u8]) -> Option<(u64, Identity, Option<ListMark>)> {
    let mut rest = body;
    if take::<1>(&mut rest)? != [FORM] {
        return None;
    }
    let tenant = TenantId::from_bytes(take(&mut rest)?);
    let user = UserId::from_bytes(take(&mut rest)?);
    let device = DeviceId::from_bytes(take(&mut rest)?);
    let until = u64::from_be_bytes(take(&mut rest)?);
    let expires_at_ms = u64::from_be_bytes(take(&mut rest)?);
    let is_marked = take::<1>(&mut rest)? == [1];
    let mark = KeyMark(take(&mut rest)?);
    let has_list = take::<1>(&mut rest)? == [1];
    let generation = Generation(u64::from_be_bytes(take(&mut rest)?));
    let version = u64::from_be_bytes(take(&mut rest)?);
    let list = ListMark { generation, version, names: take(&mut rest)? };
    let signed_by = is_marked.then_some(mark);
    let identity = Identity { tenant, user, device, name: None, expires_at_ms, signed_by };
    Some((until, identity, has_list.then_some(list)))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk::<N>()?;
    *rest = others;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const MARK: ListMark = ListMark { generation: Generation(3), version: 41, names: [9; 8] };

    fn tickets() -> Tickets {
        Tickets::new(b"a secret", HOUR)
    }

    fn identity() -> Identity {
        Identity {
            tenant: TenantId::from_bytes([1; 16]),
            user: UserId::from_bytes([2; 16]),
            device: DeviceId::from_bytes([3; 16]),
            name: None,
            expires_at_ms: 10 * HOUR,
            signed_by: Some(KeyMark([4; 8])),
        }
    }

    #[test]
    fn what_was_sealed_is_what_comes_out() {
        let plain = Identity { signed_by: None, ..identity() };
        for (who, list) in [(identity(), Some(MARK)), (plain, None)] {
            let ticket = tickets().seal(&who, list, 0);
            assert_eq!(ticket.len(), TEXT_BYTES);
            assert_eq!(tickets().open(&ticket, HOUR - 1), Ok((who, list)));
        }
    }

    #[test]
    fn it_ends_by_itself_and_with_its_token() {
        let ticket = tickets().seal(&identity(), None, 0);
        assert_eq!(tickets().open(&ticket, HOUR), Err(AuthError::Expired));
        let late = tickets().seal(&identity(), None, 10 * HOUR - 5);
        assert!(tickets().open(&late, 10 * HOUR - 1).is_ok());
        assert_eq!(tickets().open(&late, 10 * HOUR), Err(AuthError::Expired));
    }

    #[test]
    fn whatever_is_changed_nothing_else_opens() {
        let ticket = tickets().seal(&identity(), Some(MARK), 0);
        let other = Tickets::new(b"another secret", HOUR);
        assert_eq!(other.open(&ticket, 1), Err(AuthError::Signature));
        for at in 0..ticket.len() {
            for letter in ["A", "B", "_", "=", "."] {
                let mut forged = ticket.clone();
                forged.replace_range(at..=at, letter);
                // The last letter has bits to spare: the decoder takes one writing only.
                assert!(forged == ticket || tickets().open(&forged, 1).is_err(), "{forged}");
            }
        }
        for bad in ["", "A", "eyJhbGciOiJub25lIn0.e30.", &ticket[1..], &format!("{ticket}A")] {
            assert_eq!(tickets().open(bad, 1), Err(AuthError::Malformed), "{bad}");
        }
        let elsewhere = "é".repeat(TEXT_BYTES / 2) + "A";
        assert_eq!(tickets().open(&elsewhere, 1), Err(AuthError::Malformed));
    }
}
