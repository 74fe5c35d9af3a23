//! The twins of the session specification: bounds of an instance, then the machine.

use super::Twin;
use crate::checking::{CheckRow, Spec, SuiteError, check};
use crate::session::Session;

/// The texts of one instance: (name, quick, scenes, Promela, Murphi, formulas that must hold).
type Bounds = (
    &'static str,
    bool,
    u64,
    &'static str,
    &'static str,
    &'static [&'static str],
);

macro_rules! text {
    ($name:expr) => {
        include_str!(concat!("../../twins/session/", $name))
    };
}

macro_rules! bounds {
    ($name:literal, $quick:literal, $scenes:literal, $formulas:expr) => {
        (
            $name,
            $quick,
            $scenes,
            text!(concat!($name, ".pml")),
            text!(concat!($name, ".m")),
            $formulas,
        )
    };
}

/// Every instance with one sender.
const ALL: [Bounds; 8] = [
    bounds!("smallest", true, 1, &["T4", "A4"]),
    bounds!("forged", true, 1, &[]),
    bounds!("rebuild", false, 6, &[]),
    bounds!("budget", false, 1, &[]),
    bounds!("laggard", false, 2, &[]),
    bounds!("facts", false, 8, &[]),
    bounds!("epochs", false, 2, &[]),
    bounds!("authority", false, 2, &[]),
];

fn original(instance: &str) -> Result<CheckRow, SuiteError> {
    let spec =
        Session::at(instance).ok_or_else(|| SuiteError::UnknownInstance(instance.to_owned()))?;
    check(&spec)
}

/// The twins, the cheapest first.
pub(super) fn twins() -> Vec<Twin> {
    let twin = |&(instance, quick, scenes, promela, murphi, formulas): &Bounds| Twin {
        spec: "session",
        instance,
        original,
        quick,
        scenes,
        promela: [promela, text!("machine.pml"), text!("count.pml")].concat(),
        murphi: [text!("words.m"), murphi, text!("machine.m")].concat(),
        lasting: (!formulas.is_empty()).then(|| {
            let program = [promela, text!("machine.pml"), text!("liveness.pml")];
            (program.concat(), formulas)
        }),
    };
    ALL.iter().map(twin).collect()
}
