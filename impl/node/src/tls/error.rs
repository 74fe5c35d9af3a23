//! Why there are no keys, and why no connection came about.

use std::io;
use std::path::PathBuf;

use holdfast_types::ReplicaId;
use rustls::{AlertDescription, CertificateError};
use thiserror::Error;

use super::names::{Expected, Peer};

/// Why a node's keys cannot be used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {what}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The key is open to others.
    #[error("{path}: every user of this host may read this key; `chmod 600` it")]
    KeyIsOpen {
        /// The file.
        path: PathBuf,
    },
    /// The certificate is another node's.
    #[error(
        "{path}: this certificate is for {certified}, and this node is {node}; `holdfast keys issue \
         --name {node}` makes one for it"
    )]
    OtherNode {
        /// The file.
        path: PathBuf,
        /// Whom it names.
        certified: Peer,
        /// Who this node is.
        node: ReplicaId,
    },
}

/// Why a connection was not made, or not taken.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The connection failed.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// It did not come about in time.
    #[error("the handshake took too long")]
    TimedOut,
    /// The other side speaks no TLS, and this one takes nothing else.
    #[error("the other side speaks no TLS, which this node asks for ([tls] in its configuration)")]
    PlainPeer,
    /// The other side speaks TLS, and this one has no keys.
    #[error("the other side speaks TLS, and this node has no keys ([tls] in its configuration)")]
    TlsPeer,
    /// It has no certificate.
    #[error("the other side shows no certificate")]
    NoCertificate,
    /// Its certificate is not of this cluster.
    #[error("the certificate of the other side is not by this cluster's authority")]
    UnknownAuthority,
    /// Its certificate is over.
    #[error("the certificate of the other side has expired")]
    Expired,
    /// Its certificate has not begun.
    #[error("the certificate of the other side is not valid yet")]
    NotYetValid,
    /// It is somebody else.
    #[error("the other side is not {expected}, by its certificate")]
    OtherName {
        /// Who it should be.
        expected: Expected,
    },
    /// The other side does not take this node's certificate.
    #[error("the other side refuses this node's certificate: {alert}")]
    Refused {
        /// In its words.
        alert: &'static str,
    },
    /// TLS failed in another way.
    #[error("TLS: {detail}")]
    Tls {
        /// What is wrong.
        detail: String,
    },
}

impl HandshakeError {
    /// What kind of refusal it is, in one word for logs and counters.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Io(_) => "connection",
            Self::TimedOut => "handshake_timed_out",
            Self::PlainPeer => "plain_peer",
            Self::TlsPeer => "tls_peer",
            Self::NoCertificate => "no_certificate",
            Self::UnknownAuthority => "unknown_authority",
            Self::Expired => "certificate_expired",
            Self::NotYetValid => "certificate_not_yet_valid",
            Self::OtherName { .. } => "other_name",
            Self::Refused { .. } => "certificate_refused",
            Self::Tls { .. } => "tls",
        }
    }

    /// What a TLS stream's error means, where `expected` was dialled.
    pub(super) fn of(error: io::Error, expected: Option<&Expected>) -> Self {
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref()) else {
            return Self::Io(error);
        };
        Self::of_tls(tls, expected)
    }

    fn of_tls(error: &rustls::Error, expected: Option<&Expected>) -> Self {
        // The library may add kinds to each of these: what is not known here is told in its words.
        let known = if let rustls::Error::InvalidCertificate(invalid) = error {
            Self::of_certificate(invalid, expected)
        } else if let rustls::Error::AlertReceived(alert) = error {
            of_alert(*alert).map(|alert| Self::Refused { alert })
        } else if matches!(error, rustls::Error::InvalidMessage(_)) {
            Some(Self::PlainPeer)
        } else if matches!(error, rustls::Error::NoCertificatesPresented) {
            Some(Self::NoCertificate)
        } else {
            None
        };
        known.unwrap_or_else(|| Self::Tls {
            detail: error.to_string(),
        })
    }

    fn of_certificate(invalid: &CertificateError, expected: Option<&Expected>) -> Option<Self> {
        use CertificateError as Found;
        let is_over = matches!(invalid, Found::Expired | Found::ExpiredContext { .. });
        let is_to_come = matches!(
            invalid,
            Found::NotValidYet | Found::NotValidYetContext { .. }
        );
        let is_foreign = matches!(invalid, Found::UnknownIssuer | Found::BadSignature);
        let is_of_another = matches!(
            invalid,
            Found::NotValidForName | Found::NotValidForNameContext { .. }
        );
        match expected {
            _ if is_over => Some(Self::Expired),
            _ if is_to_come => Some(Self::NotYetValid),
            _ if is_foreign => Some(Self::UnknownAuthority),
            Some(expected) if is_of_another => Some(Self::OtherName {
                expected: expected.clone(),
            }),
            Some(_) | None => None,
        }
    }
}

/// What the alerts say by which a certificate is refused.
fn of_alert(alert: AlertDescription) -> Option<&'static str> {
    const FOREIGN: &str = "it is not by the cluster's authority";
    const NOT_TAKEN: &str = "it is not taken";
    let known = [
        (AlertDescription::UnknownCA, FOREIGN),
        (AlertDescription::DecryptError, FOREIGN),
        (AlertDescription::CertificateExpired, "it has expired"),
        (AlertDescription::CertificateRequired, "none was shown"),
        (AlertDescription::BadCertificate, NOT_TAKEN),
        (AlertDescription::CertificateUnknown, NOT_TAKEN),
        (AlertDescription::UnsupportedCertificate, NOT_TAKEN),
        (AlertDescription::AccessDenied, NOT_TAKEN),
    ];
    let mut known = known.into_iter();
    known.find(|(kind, _)| *kind == alert).map(|(_, told)| told)
}

/// The TLS error inside of an error of a stream that was open already, in this node's words.
pub(crate) fn later_refusal(error: &io::Error) -> Option<HandshakeError> {
    let tls: &rustls::Error = error.get_ref()?.downcast_ref()?;
    Some(HandshakeError::of_tls(tls, None))
}
