//! The twins of the cluster specification: those three instances of it that are small enough.

use super::Twin;
use crate::checking::{CheckRow, Spec, SuiteError, check};
use crate::cluster::Cluster;

macro_rules! text {
    ($name:expr) => {
        include_str!(concat!("../../twins/cluster/", $name))
    };
}

macro_rules! bounds {
    ($name:literal, $quick:literal) => {
        (
            $name,
            $quick,
            text!(concat!($name, ".pml")),
            text!(concat!($name, ".m")),
        )
    };
}

/// Each with whether it is quick, and its bounds in Promela and in Murphi. (All searches are short; it
/// is rumur's translation that takes its time.)
const ALL: [(&str, bool, &str, &str); 3] = [
    bounds!("twin-pair", true),
    bounds!("twin-members", false),
    bounds!("twin-wire", false),
];

fn original(instance: &str) -> Result<CheckRow, SuiteError> {
    let spec =
        Cluster::at(instance).ok_or_else(|| SuiteError::UnknownInstance(instance.to_owned()))?;
    check(&spec)
}

/// The twins.
pub(super) fn twins() -> Vec<Twin> {
    let twin = |&(instance, quick, promela, murphi): &(&'static str, bool, &str, &str)| Twin {
        spec: "cluster",
        instance,
        original,
        quick,
        scenes: 1,
        promela: [promela, text!("machine.pml"), text!("count.pml")].concat(),
        murphi: [murphi, text!("machine.m")].concat(),
        lasting: None,
    };
    ALL.iter().map(twin).collect()
}
