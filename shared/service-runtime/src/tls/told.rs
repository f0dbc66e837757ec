//! A failed handshake in words for a log line: what the other end showed or said, and where to look.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// The sentence, where the error comes from TLS; none for one of the socket.
#[must_use]
pub fn told(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    let error = inner.downcast_ref::<Error>()?;
    Some(match error {
        Error::NoCertificatesPresented => {
            "the other end showed no certificate: give it one of the authority here".to_owned()
        }
        // The second is an authority that was made anew under its old name.
        Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        ) => "the other end's certificate is of an authority that is not known here: check both \
             ends' authorities"
            .to_owned(),
        Error::InvalidCertificate(error) => {
            format!("the other end's certificate is not valid: {error}")
        }
        Error::AlertReceived(alert) => format!("the other end refused: {}", alerted(*alert)),
        Error::InvalidMessage(_) => "the other end does not speak TLS".to_owned(),
        error => format!("the TLS handshake failed: {error}"),
    })
}

/// An alert (RFC 8446, section 6) in words.
fn alerted(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => "it asks for a certificate of this end".into(),
        AlertDescription::UnknownCA => {
            "it does not know the authority of this end's certificate".into()
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate => {
            format!("this end's certificate does not please it ({alert:?})")
        }
        alert => format!("{alert:?}"),
    }
}
