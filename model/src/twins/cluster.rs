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
    ($name:literal) => {
        (
            $name,
            text!(concat!($name, ".pml")),
            text!(concat!($name, ".m")),
        )
    };
}

/// Each with its bounds in Promela and in Murphi.
const ALL: [(&str, &str, &str); 3] = [
    bounds!("twin-pair"),
    bounds!("twin-members"),
    bounds!("twin-wire"),
];

fn original(instance: &str) -> Result<CheckRow, SuiteError> {
    let spec =
        Cluster::at(instance).ok_or_else(|| SuiteError::UnknownInstance(instance.to_owned()))?;
    check(&spec)
}

/// The twins.
pub(super) fn twins() -> Vec<Twin> {
    let twin = |&(instance, promela, murphi): &(&'static str, &str, &str)| Twin {
        spec: "cluster",
        instance,
        original,
        quick: true,
        scenes: 1,
        promela: [promela, text!("machine.pml"), text!("count.pml")].concat(),
        murphi: [murphi, text!("machine.m")].concat(),
        lasting: None,
    };
    ALL.iter().map(twin).collect()
}
