//! The cluster's certificate authority, and certificates for nodes and operators.
//!
//! Promises: a file that exists is never overwritten; every file is its owner's alone (0600).
//!
//! The directory of the authority holds `ca.pem` and `ca.key`, and for each holder `NAME.pem` and
//! `NAME.key`. A node needs `ca.pem` and its own two; `ca.key` belongs on no node.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use holdfast_types::ReplicaId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::DnsName;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::names;

/// How long before its making a certificate is valid, for hosts whose clocks disagree.
const LEEWAY: Duration = Duration::from_secs(3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The longest file of the authority, in bytes.
const AUTHORITY_BYTES_MAX: u64 = 64 << 10;

/// Who is to hold a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A node, which connects and is connected to.
    Node(ReplicaId),
    /// A person or a program that asks nodes, and passes for none.
    Operator(ReplicaId),
}

impl Holder {
    const fn label(&self) -> &ReplicaId {
        match self {
            Self::Node(label) | Self::Operator(label) => label,
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Self::Node(label) => vec![names::of_node(label.as_str()), names::of_every_node()],
            Self::Operator(label) => vec![names::of_operator(label.as_str())],
        }
    }

    fn usages(&self) -> Vec<ExtendedKeyUsagePurpose> {
        let client = ExtendedKeyUsagePurpose::ClientAuth;
        match self {
            Self::Node(_) => vec![ExtendedKeyUsagePurpose::ServerAuth, client],
            Self::Operator(_) => vec![client],
        }
    }
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From when on.
    pub from: SystemTime,
    /// Until when.
    pub until: SystemTime,
}

impl Validity {
    /// From now on, for so many days.
    #[must_use]
    pub fn days(days: u32) -> Self {
        let now = SystemTime::now();
        Self {
            from: now - LEEWAY,
            until: now + DAY * days,
        }
    }
}

/// Files that were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Why nothing was made.
#[derive(Debug, Error)]
pub enum IssueError {
    /// A file is there already.
    #[error("{path} exists; nothing is overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file or a directory cannot be made or read.
    #[error("{path}: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A name that no certificate can carry.
    #[error(
        "{name:?} can stand in no certificate: it is an IP address or a DNS name, whose labels have \
         at most 63 characters and neither begin nor end with '-'"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// The authority's key is none, or a certificate cannot be made with it.
    #[error("{path}: {source}")]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong.
        source: rcgen::Error,
    },
}

/// Makes a certificate authority in a directory.
///
/// # Errors
/// [`IssueError`]; no file is left then.
pub fn init(directory: &Path, validity: Validity) -> Result<Issued, IssueError> {
    let mut maker = DirBuilder::new();
    maker
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| IssueError::File {
            path: directory.to_owned(),
            source,
        })?;
    let files = files_of(directory, "ca");
    let failed = |source| IssueError::Key {
        path: files.key.clone(),
        source,
    };
    let key = KeyPair::generate().map_err(failed)?;
    let mut params = authority_params(&key);
    (params.not_before, params.not_after) = (validity.from.into(), validity.until.into());
    let certificate = params.self_signed(&key).map_err(failed)?;
    put(&files, &certificate.pem(), &key.serialize_pem())?;
    Ok(files)
}

/// Makes a certificate by the authority of a directory, in it.
///
/// `addresses` are further names of the holder (IP addresses, host names), for clients that go by
/// those; nodes do not.
///
/// # Errors
/// [`IssueError`]; no file is left then.
pub fn issue(
    directory: &Path,
    holder: &Holder,
    addresses: &[String],
    validity: Validity,
) -> Result<Issued, IssueError> {
    let authority = files_of(directory, "ca").key;
    let failed = |source| IssueError::Key {
        path: authority.clone(),
        source,
    };
    let signer = KeyPair::from_pem(&text_of(&authority)?).map_err(failed)?;
    let issuer = Issuer::new(authority_params(&signer), signer);
    let mut params = CertificateParams::default();
    params.distinguished_name = called(holder.label().as_str());
    (params.not_before, params.not_after) = (validity.from.into(), validity.until.into());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = holder.usages();
    params.use_authority_key_identifier_extension = true;
    let every = holder.names();
    for name in every.iter().chain(addresses) {
        params.subject_alt_names.push(alternative(name)?);
    }
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    let files = files_of(directory, holder.label().as_str());
    put(&files, &certificate.pem(), &key.serialize_pem())?;
    Ok(files)
}

/// What the authority's own certificate says, but for its validity: it follows from the key, so that
/// the key alone is enough to issue with.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let digest = Sha256::digest(key.der_bytes());
    let short: String = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
    params.distinguished_name = called(&format!("holdfast cluster {short}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn alternative(name: &str) -> Result<SanType, IssueError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let bad = || IssueError::Name {
        name: name.to_owned(),
    };
    DnsName::try_from(name).map_err(|_| bad())?;
    Ok(SanType::DnsName(name.try_into().map_err(|_| bad())?))
}

fn files_of(directory: &Path, name: &str) -> Issued {
    Issued {
        certificate: directory.join(format!("{name}.pem")),
        key: directory.join(format!("{name}.key")),
    }
}

fn text_of(path: &Path) -> Result<String, IssueError> {
    let failed = |source| IssueError::File {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    io::Read::read_to_string(&mut io::Read::take(file, AUTHORITY_BYTES_MAX), &mut text)
        .map_err(failed)?;
    Ok(text)
}

/// Writes both files, or none.
fn put(files: &Issued, certificate: &str, key: &str) -> Result<(), IssueError> {
    create(&files.key, key)?;
    create(&files.certificate, certificate).inspect_err(|_| {
        // Made a moment ago, and of no use alone.
        let _ = std::fs::remove_file(&files.key);
    })
}

fn create(path: &Path, content: &str) -> Result<(), IssueError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists {
            return IssueError::Exists { path };
        }
        IssueError::File { path, source }
    };
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let written = file
        .write_all(content.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|source| {
        // Half a file is of no use, and was made here.
        let _ = std::fs::remove_file(path);
        failed(source)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use holdfast_types::ReplicaId;

    use super::{Holder, IssueError, Validity, init, issue};
    use crate::config::TlsConfig;
    use crate::tls::{LoadError, Protection};

    fn node(label: &str) -> Holder {
        Holder::Node(ReplicaId::new(label).unwrap())
    }

    fn config(directory: &Path, name: &str) -> TlsConfig {
        TlsConfig {
            ca: directory.join("ca.pem"),
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}.key")),
        }
    }

    #[test]
    fn keys_are_their_owners_alone_and_nothing_is_overwritten() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("keys");
        init(&dir, Validity::days(30)).unwrap();
        let made = issue(&dir, &node("r1"), &["192.0.2.1".into()], Validity::days(30)).unwrap();
        let authority = std::fs::read(dir.join("ca.key")).unwrap();
        let own = std::fs::read(&made.key).unwrap();
        for file in std::fs::read_dir(&dir).unwrap() {
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let again = init(&dir, Validity::days(30)).unwrap_err();
        assert!(matches!(again, IssueError::Exists { .. }), "{again}");
        let again = issue(&dir, &node("r1"), &[], Validity::days(30)).unwrap_err();
        assert!(matches!(again, IssueError::Exists { .. }), "{again}");
        std::fs::remove_file(&made.key).unwrap();
        let again = issue(&dir, &node("r1"), &[], Validity::days(30)).unwrap_err();
        assert!(again.to_string().contains("r1.pem exists"), "{again}");
        assert!(!made.key.exists(), "a key without its certificate");
        assert_eq!(std::fs::read(dir.join("ca.key")).unwrap(), authority);
        assert_ne!(own, authority);
    }

    #[test]
    fn a_name_that_no_certificate_can_carry_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path(), Validity::days(1)).unwrap();
        let long = "x".repeat(64);
        for (holder, address) in [
            (node(&long), "h"),
            (node("r1"), "no host"),
            (node("-a"), "h"),
        ] {
            let refused = issue(dir.path(), &holder, &[address.into()], Validity::days(1));
            let refused = refused.unwrap_err();
            assert!(matches!(refused, IssueError::Name { .. }), "{refused}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn keys_that_cannot_serve_are_refused_when_they_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        init(dir, Validity::days(1)).unwrap();
        let mut over = Validity::days(1);
        over.until = over.from + super::LEEWAY / 2;
        for (name, validity) in [("r1", Validity::days(1)), ("old", over)] {
            issue(dir, &node(name), &[], validity).unwrap();
        }
        let admin = Holder::Operator(ReplicaId::new("admin").unwrap());
        issue(dir, &admin, &[], Validity::days(1)).unwrap();
        let id = |label: &str| ReplicaId::new(label).unwrap();
        let load =
            |name: &str, node: &str| Protection::of_node(Some(&config(dir, name)), &id(node));
        assert!(load("r1", "r1").is_ok());
        let other = load("r1", "r2").unwrap_err();
        assert!(matches!(other, LoadError::OtherNode { .. }), "{other}");
        let other = load("admin", "admin").unwrap_err();
        assert!(matches!(other, LoadError::OtherNode { .. }), "{other}");
        let old = load("old", "old").unwrap_err();
        assert!(old.to_string().contains("expired"), "{old}");
        let foreign = tempfile::tempdir().unwrap();
        init(foreign.path(), Validity::days(1)).unwrap();
        let mut mixed = config(dir, "r1");
        mixed.ca = foreign.path().join("ca.pem");
        let refused = Protection::load(Some(&mixed)).unwrap_err();
        assert!(matches!(refused, LoadError::Unusable { .. }), "{refused}");
        let mut mixed = config(dir, "r1");
        mixed.key = dir.join("old.key");
        let refused = Protection::load(Some(&mixed)).unwrap_err();
        assert!(refused.to_string().contains("old.key"), "{refused}");
        let mut open = std::fs::metadata(dir.join("r1.key")).unwrap().permissions();
        open.set_mode(0o644);
        std::fs::set_permissions(dir.join("r1.key"), open).unwrap();
        let refused = load("r1", "r1").unwrap_err();
        assert!(matches!(refused, LoadError::KeyIsOpen { .. }), "{refused}");
    }
}
