//! Tokens for development: anybody may ask for any name. The signing key lives in the data
//! directory, so that tokens outlive a restart. Enabled by the binary in development mode only.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use harkara_domain::{DeviceId, TenantId, UserId};
use harkara_service_runtime::{clock::SharedClock, entropy::Entropy};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, jwk::Jwk};
use serde::Serialize;

use super::{Algorithm, Key, KeyError, Verifier};

/// The key's file in the data directory.
pub const KEY_FILE: &str = "dev-signing-key.pem";

/// Longest name of a user or device in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// The device of a request that names none.
pub const DEFAULT_DEVICE: &str = "default";

/// How long a token is good, in seconds: 30 days.
const LIFETIME_SECS: u64 = 30 * 24 * 3_600;

/// Issuer, audience and the start of the key's name. No production key has this issuer.
const ISSUER: &str = "harkara-development";

/// What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410, 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The signing key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DevIssuerError {
    /// The file cannot be read or written.
    #[error("cannot use the development key {0}: {1}; check the data directory")]
    File(PathBuf, io::Error),
    /// The file holds something else.
    #[error("{0} holds no Ed25519 key; remove it to get a new one (old tokens end)")]
    Form(PathBuf),
    /// The verifier has a key of that name.
    #[error("cannot add the development key: {0}")]
    Key(#[from] KeyError),
    /// The library refused to sign.
    #[error("cannot sign a development token: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// A name that no token is issued for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} must be 1 to {NAME_BYTES_MAX} bytes without control characters and without spaces at \
     either end"
)]
pub struct BadName(pub &'static str);

/// Why no token was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The caller's fault.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Ours.
    #[error("cannot sign a development token: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// A token and whom it speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevToken {
    /// Derived from the user's name.
    pub user: UserId,
    /// Derived from the user's and the device's name.
    pub device: DeviceId,
    /// The JWT.
    pub token: String,
    /// Its end, in milliseconds since 1970.
    pub expires_at_ms: u64,
}

/// Issues development tokens.
pub struct DevIssuer {
    key: EncodingKey,
    kid: String,
    clock: SharedClock,
}

impl std::fmt::Debug for DevIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevIssuer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    sub: String,
    tenant: String,
    device: String,
    name: &'a str,
}

impl DevIssuer {
    /// Reads the key in `data_dir`, or makes one.
    ///
    /// # Errors
    ///
    /// The file cannot be read, written or understood.
    pub fn open(
        data_dir: &Path,
        clock: SharedClock,
        entropy: &dyn Entropy,
    ) -> Result<Self, DevIssuerError> {
        let path = data_dir.join(KEY_FILE);
        let pem = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path, entropy),
            read => read,
        };
        let pem = pem.map_err(|error| DevIssuerError::File(path.clone(), error))?;
        let wrong = |_| DevIssuerError::Form(path.clone());
        let key = EncodingKey::from_ed_pem(&pem).map_err(wrong)?;
        let public = Jwk::from_encoding_key(&key, jsonwebtoken::Algorithm::EdDSA).map_err(wrong)?;
        let print = public.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).map_err(wrong)?;
        let kid = format!("{ISSUER}-{}", print.get(..8).unwrap_or_default());
        Ok(Self { key, kid, clock })
    }

    /// Lets a verifier take this issuer's tokens.
    ///
    /// # Errors
    ///
    /// A second registration.
    pub fn register(&self, verifier: &Verifier) -> Result<(), DevIssuerError> {
        let public = Jwk::from_encoding_key(&self.key, jsonwebtoken::Algorithm::EdDSA)?;
        let material = DecodingKey::from_jwk(&public)?;
        let kid = Some(self.kid.clone());
        Ok(verifier.add_key(Key::new(kid, Algorithm::EdDSA, material, ISSUER, ISSUER))?)
    }

    /// A token for a user by name, and one of the user's devices. The same names give the same ids.
    ///
    /// # Errors
    ///
    /// A name is empty, too long or has control characters or outer spaces.
    pub fn issue(&self, user: &str, device: Option<&str>) -> Result<DevToken, IssueError> {
        let device = device.unwrap_or(DEFAULT_DEVICE);
        check(user, "user")?;
        check(device, "device")?;
        let iat = self.clock.now_ms() / 1_000;
        let exp = iat + LIFETIME_SECS;
        let (user_id, device_id) = (UserId::development(user), DeviceId::development(user, device));
        let claims = Claims {
            iss: ISSUER,
            aud: ISSUER,
            iat,
            exp,
            sub: user_id.to_string(),
            tenant: TenantId::development().to_string(),
            device: device_id.to_string(),
            name: user,
        };
        let mut header = Header::new(jsonwebtoken::Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        let token = jsonwebtoken::encode(&header, &claims, &self.key)?;
        Ok(DevToken { user: user_id, device: device_id, token, expires_at_ms: exp * 1_000 })
    }
}

fn check(name: &str, field: &'static str) -> Result<(), BadName> {
    let good = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.trim().len() == name.len()
        && !name.chars().any(char::is_control);
    if good { Ok(()) } else { Err(BadName(field)) }
}

/// Writes a new key, whole or not at all, readable by its owner only. Of several processes that
/// share the directory one is the first, and the others take its key.
fn create(path: &Path, entropy: &dyn Entropy) -> io::Result<Vec<u8>> {
    let der = [&PKCS8_PREFIX[..], &entropy.bytes16(), &entropy.bytes16()].concat();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    );
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let unfinished = path.with_extension(format!("{:016x}.new", entropy.below(u64::MAX)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return fs::read(path),
        linked => linked?,
    }
    Ok(pem.into_bytes())
}
