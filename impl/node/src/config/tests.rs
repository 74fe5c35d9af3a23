use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::{KEYS, Unset};
use super::{
    AuthorityConfig, Config, ConfigError, Loaded, LogFormat, LogLevel, SessionLimits, documented,
};

fn load_with(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let environment = environment
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Loaded::from_text(text, Path::new("node.toml"), environment)
}

fn load(text: &str) -> Result<Loaded, ConfigError> {
    load_with(text, &[])
}

fn config(text: &str) -> Config {
    load(text).unwrap().config
}

/// A file with one more thing in it, which must be refused in these words.
fn refused(text: &str, words: &[&str]) {
    refused_with(text, &[], words);
}

fn refused_with(text: &str, environment: &[(&str, &str)], words: &[&str]) {
    let message = match load_with(text, environment) {
        Ok(loaded) => panic!("{text:?} {environment:?} was taken:\n{loaded}"),
        Err(error) => error.to_string(),
    };
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

const MINIMAL: &str = "[node]\nid = \"r1\"\n";

fn with(section_and_key: &str) -> String {
    format!("{MINIMAL}{section_and_key}\n")
}

#[test]
fn the_defaults_are_those_that_are_documented() {
    let config = config(MINIMAL);
    assert_eq!(config.node.id.as_str(), "r1");
    assert_eq!(config.node.data_dir, PathBuf::from("/var/lib/holdfast"));
    assert_eq!(
        config.node.admin_socket,
        PathBuf::from("/var/lib/holdfast/admin.sock")
    );
    assert_eq!(config.nbd.listen, "127.0.0.1:10809".parse().ok());
    assert_eq!(
        config.authority,
        AuthorityConfig::Embedded {
            listen: "127.0.0.1:7413".parse().unwrap(),
            file: PathBuf::from("/var/lib/holdfast/authority"),
        }
    );
    assert_eq!(config.lease.duration, Duration::from_secs(10));
    assert_eq!(config.lease.margin, Duration::from_secs(1));
    assert_eq!(config.limits.retention_percent, 25);
    assert_eq!(config.limits.write_timeout, Duration::from_secs(30));
    assert_eq!(config.limits.flush_timeout, Duration::from_secs(30));
    assert_eq!(config.limits.stall_timeout, Duration::from_secs(5));
    assert_eq!(config.limits.leave_after, Duration::from_secs(10));
    assert_eq!(config.limits.promotion_wait, Duration::from_secs(5));
    assert_eq!(config.limits.sessions, SessionLimits::default());
    assert_eq!(config.limits.nbd, crate::nbd::Limits::default());
    assert_eq!(config.log.level, LogLevel::Info);
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.log.file, None);
}

#[test]
fn the_documented_file_is_the_defaults() {
    assert_eq!(config(&documented()), config(MINIMAL));
    for key in KEYS {
        assert!(documented().contains(key.meaning), "{}", key.path());
    }
}

#[test]
fn every_example_of_the_documentation_is_taken() {
    for key in KEYS {
        let id = if key.path() == "node.id" {
            ""
        } else {
            "id = \"r1\""
        };
        // What each cannot be without.
        let kind = match (key.section, key.name) {
            ("authority", "address") => "kind = \"remote\"".to_owned(),
            ("authority", "node") => "kind = \"remote\"\naddress = \"192.0.2.1:1\"".to_owned(),
            ("tls", own) => {
                let others = KEYS.iter().filter(|other| other.section == "tls");
                let others = others.filter(|other| other.name != own);
                let lines: Vec<String> = others
                    .map(|other| format!("{} = {}", other.name, other.example))
                    .collect();
                lines.join("\n")
            }
            _ => String::new(),
        };
        let key_line = format!("{} = {}", key.name, key.example);
        let text = match key.section {
            "node" => format!("[node]\n{id}\n{key_line}\n"),
            section => format!("[node]\n{id}\n[{section}]\n{kind}\n{key_line}\n"),
        };
        let loaded = load(&text).unwrap_or_else(|error| panic!("{}: {error}", key.path()));
        let effective = loaded
            .effective
            .iter()
            .find(|effective| effective.key == *key)
            .unwrap_or_else(|| panic!("{} has no effect", key.path()));
        assert_eq!(effective.value, key.example, "{}", key.path());
        assert!(effective.origin.is_some());
    }
}

#[test]
fn the_log_is_a_quarter_of_a_small_volume_and_a_gibibyte_of_a_large_one() {
    let derived = config(MINIMAL).limits;
    assert_eq!(derived.log_bytes(1 << 20), 1 << 18);
    assert_eq!(derived.log_bytes(1 << 40), 1 << 30);
    let set = config(&with("[limits]\nlog_size = \"64MiB\"")).limits;
    assert_eq!(set.log_bytes(1 << 40), 64 << 20);
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_match() {
    refused(
        &with("[limits]\nlog_size = \"1GiB\"\nlaeve_after = \"3s\""),
        &[
            "node.toml:5: ",
            "limits.laeve_after",
            "did you mean leave_after?",
        ],
    );
    refused(
        &with("[limts]\nlog_size = \"1GiB\""),
        &["node.toml:3: ", "[limts]", "did you mean limits?"],
    );
    refused(
        &with("[lease]\nzzzzzz = 1"),
        &["node.toml:4: ", "known are duration, margin"],
    );
    refused(
        "node = 3",
        &["node.toml:1: ", "begin the section with [node]"],
    );
    refused(
        &with("[node.nested]\na = 1"),
        &["there is no key node.nested"],
    );
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    refused("[node]\nid = r1\n", &["node.toml:2: not TOML"]);
    refused(&with("id = \"twice\""), &["node.toml:3: not TOML"]);
}

#[test]
fn a_missing_id_says_how_to_set_it() {
    refused("", &["node.id: must be set", "HOLDFAST_NODE__ID"]);
}

#[test]
fn a_value_of_the_wrong_kind_says_what_would_be_right() {
    for (text, words) in [
        ("[limits]\nleave_after = 10", ["bare number", "\"10s\""]),
        ("[limits]\nleave_after = \"10\"", ["no unit", "\"10s\""]),
        (
            "[limits]\nlog_size = \"1GB\"",
            ["none of the units", "\"1GiB\""],
        ),
        (
            "[limits]\nlog_size = \"1KiB\"",
            ["not within 1MiB", "\"1GiB\""],
        ),
        (
            "[limits]\nretention = \"0%\"",
            ["not within 1% and 90%", "\"25%\""],
        ),
        ("[limits]\nnbd_connections = \"3\"", ["is text", "256"]),
        ("[limits]\nnbd_connections = 0", ["not within 1", "256"]),
        ("[limits]\nnbd_connections = -1", ["no whole number", "256"]),
        (
            "[limits]\nnbd_connections = 1.5",
            ["a number with a fraction", "256"],
        ),
        (
            "[limits]\nnbd_bytes_in_flight = \"1MiB\"",
            ["not within 32MiB", "\"64MiB\""],
        ),
        (
            "[nbd]\nlisten = \"localhost\"",
            ["no IP address with a port", "\"none\""],
        ),
        ("[nbd]\nlisten = [1]", ["a list", "an address"]),
        ("[nbd]\nunix_socket = \"\"", ["no path", "\"none\""]),
        (
            "[log]\nlevel = \"verbose\"",
            ["none of error, warn", "\"info\""],
        ),
        (
            "[lease]\nduration = \"1ms\"",
            ["not within 100ms and 1h", "\"10s\""],
        ),
        (
            "[lease]\nmargin = \"5s\"",
            ["half of the lease", "smaller than half"],
        ),
    ] {
        refused(&with(text), &words);
        refused(&with(text), &["node.toml:4: "]);
    }
    refused("[node]\nid = \"R 1\"", &["\"R 1\" is not a replica label"]);
    refused(
        &with("allow_unprotected = \"yes\""),
        &["node.toml:3: node.allow_unprotected", "true or false"],
    );
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_file() {
    let error = load_with(
        "[node]\nidd = \"r1\"\n[lease]\nduration = \"x\"\n[log]\nlevel = 3\n",
        &[("HOLDFAST_LOG__FORMATT", "json")],
    )
    .unwrap_err();
    let ConfigError::Invalid { problems } = error else {
        panic!("{error}");
    };
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 5, "{told:#?}");
    assert!(told[0].starts_with("node.toml:2: "));
    assert!(told[1].starts_with("environment HOLDFAST_LOG__FORMATT: "));
    assert!(told[1].ends_with("did you mean HOLDFAST_LOG__FORMAT?"));
    assert!(told[2].starts_with("node.id: must be set"));
    assert!(told[3].starts_with("node.toml:4: lease.duration"));
    assert!(told[4].starts_with("node.toml:6: log.level"));
}

#[test]
fn the_environment_overrides_the_file() {
    let loaded = load_with(
        &with("[lease]\nduration = \"20s\"\n[limits]\nnbd_connections = 4"),
        &[
            ("HOLDFAST_LEASE__DURATION", "2s"),
            ("HOLDFAST_LIMITS__NBD_CONNECTIONS", "7"),
            ("HOLDFAST_NODE__ALLOW_UNPROTECTED", "true"),
            ("HOLDFAST_NODE__ID", "r9"),
            ("HOLDFAST_SEED", "not ours"),
            ("HOLDFAST_BIN", "not ours"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(loaded.config.lease.duration, Duration::from_secs(2));
    assert_eq!(loaded.config.limits.nbd.connections, 7);
    assert!(loaded.config.node.allow_unprotected);
    assert_eq!(loaded.config.node.id.as_str(), "r9");
    let shown = loaded.to_string();
    assert!(
        shown.contains("duration = \"2s\"  # environment HOLDFAST_LEASE__DURATION"),
        "{shown}"
    );
    refused_with(
        MINIMAL,
        &[("HOLDFAST_LIMITS__NBD_CONNECTIONS", "many")],
        &[
            "environment HOLDFAST_LIMITS__NBD_CONNECTIONS: ",
            "no whole number",
        ],
    );
}

#[test]
fn an_authority_is_embedded_or_remote_and_not_both() {
    let remote = "[authority]\nkind = \"remote\"\n";
    assert_eq!(
        config(&with(&format!("{remote}address = \"10.0.0.1:7413\""))).authority,
        AuthorityConfig::Remote {
            node: None,
            address: "10.0.0.1:7413".parse().unwrap()
        }
    );
    refused(&with(remote), &["authority.address: must be set"]);
    refused(
        &with(&format!(
            "{remote}address = \"10.0.0.1:7413\"\nfile = \"/a\""
        )),
        &["node.toml:6: authority.file: belongs to kind = \"embedded\""],
    );
    refused(
        &with("[authority]\naddress = \"10.0.0.1:7413\""),
        &["node.toml:4: authority.address: belongs to kind = \"remote\""],
    );
}

#[test]
fn a_listener_open_to_the_network_must_be_asked_for() {
    refused(
        &with("[nbd]\nlisten = \"0.0.0.0:10809\""),
        &["node.toml:4: nbd.listen", "node.allow_unprotected"],
    );
    let open = config(&with(
        "allow_unprotected = true\n[nbd]\nlisten = \"0.0.0.0:10809\"",
    ));
    assert_eq!(open.nbd.listen, "0.0.0.0:10809".parse().ok());
    let closed = config(&with("[nbd]\nlisten = \"none\"\nunix_socket = \"none\""));
    assert_eq!((closed.nbd.listen, closed.nbd.unix_socket), (None, None));
    for (key, line) in [("control_listen", 3), ("replication_listen", 3)] {
        refused(
            &with(&format!("{key} = \"192.0.2.1:7499\"")),
            &[&format!("node.toml:{line}: node.{key}"), "[tls]"],
        );
    }
}

const KEYS_OF_R1: &str =
    "[tls]\nca = \"/k/ca.pem\"\ncertificate = \"/k/r1.pem\"\nkey = \"/k/r1.key\"\n";

#[test]
fn with_keys_nodes_may_listen_to_the_network_and_clients_still_not() {
    let open = with(&format!(
        "control_listen = \"192.0.2.1:7412\"\nreplication_listen = \"192.0.2.1:7411\"\n{KEYS_OF_R1}\
         [authority]\nlisten = \"192.0.2.1:7413\""
    ));
    let tls = config(&open).tls.unwrap();
    assert_eq!(tls.key, Path::new("/k/r1.key"));
    refused(
        &with(&format!("{KEYS_OF_R1}[nbd]\nlisten = \"192.0.2.1:10809\"")),
        &["nbd.listen", "node.allow_unprotected"],
    );
}

#[test]
fn keys_come_all_or_none_and_then_the_authority_has_a_name() {
    refused(
        &with("[tls]\nca = \"/k/ca.pem\""),
        &["tls.certificate: is not set", "tls.key: is not set"],
    );
    let remote = "[authority]\nkind = \"remote\"\naddress = \"192.0.2.1:7413\"\n";
    refused(
        &with(&format!("{KEYS_OF_R1}{remote}")),
        &["authority.node: must be set"],
    );
    let named = config(&with(&format!("{KEYS_OF_R1}{remote}node = \"r2\"")));
    assert!(
        matches!(named.authority, AuthorityConfig::Remote { node: Some(node), .. }
        if node.as_str() == "r2")
    );
}

#[test]
fn listeners_and_sockets_are_distinct_and_sockets_fit_into_an_address() {
    refused(
        &with("control_listen = \"127.0.0.1:7411\""),
        &["node.replication_listen", "its own port"],
    );
    config(&with(
        "control_listen = \"127.0.0.1:0\"\nreplication_listen = \"127.0.0.1:0\"",
    ));
    refused(
        &with(&format!("data_dir = \"/{}\"", "d".repeat(110))),
        &["node.admin_socket", "nbd.unix_socket", "at most 107"],
    );
    refused(
        &with("[nbd]\nunix_socket = \"/var/lib/holdfast/admin.sock\""),
        &["nbd.unix_socket", "its own path"],
    );
}

#[test]
fn what_is_shown_reads_back_as_the_same_configuration() {
    let loaded = load(&with(
        "data_dir = \"/tmp/a \\\"quoted\\\" place\"\n[limits]\nlog_size = \"3MiB\"\n\
         leave_after = \"1500ms\"\n[log]\nformat = \"json\"",
    ))
    .unwrap();
    assert_eq!(config(&loaded.to_string()), loaded.config);
}

#[test]
fn a_file_that_cannot_be_read_or_is_far_too_long_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.toml");
    let missing = Loaded::from_file(&path, []).unwrap_err();
    assert!(matches!(missing, ConfigError::Unreadable { .. }));
    std::fs::write(&path, " ".repeat((1 << 20) + 1)).unwrap();
    let long = Loaded::from_file(&path, []).unwrap_err();
    assert!(matches!(long, ConfigError::TooLong { .. }));
    std::fs::write(&path, MINIMAL).unwrap();
    let loaded = Loaded::from_file(&path, []).unwrap();
    assert_eq!(loaded.config, config(MINIMAL));
}

#[test]
fn keys_that_must_be_set_are_only_those_that_have_no_sensible_default() {
    let required: Vec<String> = KEYS
        .iter()
        .filter(|key| matches!(key.unset, Unset::Required(_)))
        .map(|key| key.path())
        .collect();
    assert_eq!(required, ["node.id", "authority.address", "authority.node"]);
}
