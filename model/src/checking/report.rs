//! What a check reports: one object per instance, one per mutant, and the findings in them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Counts, SymmetryRow};

/// One property in one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyRow {
    /// Its name.
    pub name: String,
    /// `always`, `step`, `call`, `sometimes` or `leads`.
    pub kind: String,
    /// Whether it held wherever it was judged.
    pub holds: bool,
    /// How often it was judged.
    pub evaluations: u64,
    /// How often its antecedent held; for a witness, how often it was seen.
    pub non_vacuous: u64,
}

/// The second opinion.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StaterightRow {
    /// Distinct states.
    pub states: u64,
    /// Transitions.
    pub transitions: u64,
    /// Wall-clock time.
    #[serde(default)]
    pub seconds: f64,
    /// What its table of fingerprints takes, computed from the number of states: 9 bytes a slot
    /// (fingerprint, control byte), at most 7 of 8 slots taken, their number a power of two.
    #[serde(default)]
    pub bytes_per_state: u64,
    /// The odds that two of its 64-bit fingerprints are alike: `n^2 / 2^65`.
    #[serde(default)]
    pub collision_odds: f64,
}

impl From<&Counts> for StaterightRow {
    fn from(counts: &Counts) -> Self {
        let slots = (counts.states * 8 / 7).max(1).next_power_of_two();
        Self {
            states: counts.states,
            transitions: counts.transitions,
            seconds: counts.seconds,
            bytes_per_state: slots * 9 / counts.states.max(1),
            collision_odds: (counts.states as f64).powi(2) / 2f64.powi(65),
        }
    }
}

/// One instance, exhausted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRow {
    /// The specification.
    pub spec: String,
    /// The instance.
    pub instance: String,
    /// Distinct states, initial ones included.
    pub states: u64,
    /// Enabled (state, action) pairs, self-loops included.
    pub transitions: u64,
    /// Number of steps to the farthest state.
    pub depth: u64,
    /// Wall-clock time of the exact graph, its liveness and its digest.
    pub seconds: f64,
    /// SHA-256 of the graph.
    pub digest: String,
    /// Every property; of the witnesses those that were seen here.
    pub properties: Vec<PropertyRow>,
    /// How often each action was enabled, by name.
    pub actions: BTreeMap<String, u64>,
    /// States without an enabled action.
    pub terminal: u64,
    /// Size of a state's code.
    #[serde(default)]
    pub code_bytes: u64,
    /// What its code is kept as in the exact graph, where codes have parts in common.
    #[serde(default)]
    pub kept_bytes: u64,
    /// What the exact graph takes of memory, edges and index included, for each state.
    pub bytes_per_state: u64,
    /// Refused calls, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Witnesses that this instance does not contain (another one must).
    pub unseen: Vec<String>,
    /// What was found by representatives of what is alike; absent where nothing is.
    #[serde(default)]
    pub symmetry: Option<SymmetryRow>,
    /// What stateright counted.
    pub stateright: StaterightRow,
    /// State properties that stateright saw fall.
    pub stateright_fallen: Vec<String>,
}

/// One instance, exhausted in the exact graph; it becomes a row when stateright has been heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Exact {
    row: CheckRow,
}

impl Exact {
    /// What the exact graph found; what `row` says of stateright is not looked at.
    pub(super) const fn new(row: CheckRow) -> Self {
        Self { row }
    }

    /// The row, with the second opinion.
    #[must_use]
    pub fn with(mut self, second: &Counts) -> CheckRow {
        self.row.stateright = StaterightRow::from(second);
        let fallen = second.fallen.iter().map(|name| (*name).to_owned());
        self.row.stateright_fallen = fallen.collect();
        self.row
    }
}

/// One mutant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutantRow {
    /// Its id.
    pub id: String,
    /// The specification.
    pub spec: String,
    /// The instance in which it was run.
    pub instance: String,
    /// The property that fell, or should have.
    pub property: String,
    /// Steps of the shortest trace; of the whole graph if it survived.
    pub depth: u64,
    /// States that were explored.
    pub states: u64,
    /// Wall-clock time.
    pub seconds: f64,
    /// Whether the property fell.
    pub killed: bool,
    /// What was done to the rules.
    pub says: String,
}

impl CheckRow {
    /// What is wrong in this instance alone.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let place = format!("{}/{}", self.spec, self.instance);
        let mut findings = Vec::new();
        for property in self.properties.iter().filter(|property| !property.holds) {
            let name = &property.name;
            findings.push(format!(
                "{place}: {name} falls; `holdfast-model trace --instance {place} --property \
                 {name:?}` tells the shortest run"
            ));
        }
        let ours = (self.states, self.transitions);
        let theirs = (self.stateright.states, self.stateright.transitions);
        if ours != theirs {
            findings.push(format!(
                "{place}: the checkers disagree: exact graph {ours:?}, stateright {theirs:?} \
                 (states, transitions)"
            ));
        }
        if let Some(symmetry) = self.symmetry.filter(|symmetry| !symmetry.exact) {
            findings.push(format!(
                "{place}: not as symmetric as it says: {symmetry:?} of {ours:?} (states, transitions)"
            ));
        }
        let fallen: BTreeSet<&str> = (self.properties.iter())
            .filter(|property| property.kind == "always" && !property.holds)
            .map(|property| property.name.as_str())
            .collect();
        if fallen != self.stateright_fallen.iter().map(String::as_str).collect() {
            findings.push(format!(
                "{place}: the checkers disagree on what falls: exact graph {fallen:?}, \
                 stateright {:?}",
                self.stateright_fallen
            ));
        }
        findings
    }
}

/// What is wrong in a set of instances. `whole`: they are all instances of their specification
/// that were to be checked, so that what is vacuous or unseen in each of them was never shown.
#[must_use]
pub fn findings(rows: &[CheckRow], whole: bool) -> Vec<String> {
    let mut findings: Vec<String> = rows.iter().flat_map(CheckRow::findings).collect();
    if !whole {
        return findings;
    }
    let mut shown: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for row in rows {
        for property in &row.properties {
            *shown.entry((&row.spec, &property.name)).or_default() += property.non_vacuous;
        }
        for name in &row.unseen {
            shown.entry((&row.spec, name)).or_default();
        }
    }
    for ((spec, name), times) in shown {
        if times == 0 {
            findings.push(format!(
                "{spec}: {name} is VACUOUS: its antecedent holds in no instance, nothing was shown"
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{CheckRow, PropertyRow, StaterightRow, findings};

    fn row(property: PropertyRow) -> CheckRow {
        CheckRow {
            spec: "toy".to_owned(),
            instance: "one".to_owned(),
            states: 3,
            transitions: 4,
            depth: 2,
            seconds: 0.0,
            digest: String::new(),
            properties: vec![property],
            actions: Default::default(),
            terminal: 0,
            code_bytes: 1,
            kept_bytes: 1,
            bytes_per_state: 1,
            refused: Default::default(),
            unseen: Vec::new(),
            symmetry: None,
            stateright: StaterightRow {
                states: 3,
                transitions: 4,
                ..StaterightRow::default()
            },
            stateright_fallen: Vec::new(),
        }
    }

    fn property(holds: bool, non_vacuous: u64) -> PropertyRow {
        PropertyRow {
            name: "T1".to_owned(),
            kind: "always".to_owned(),
            holds,
            evaluations: 3,
            non_vacuous,
        }
    }

    #[test]
    fn a_sound_row_has_no_findings() {
        assert!(findings(&[row(property(true, 1))], true).is_empty());
    }

    #[test]
    fn what_is_vacuous_in_every_instance_is_a_finding() {
        let rows = [row(property(true, 0)), row(property(true, 0))];
        assert!(findings(&rows, true)[0].contains("VACUOUS"));
        assert!(
            findings(&rows, false).is_empty(),
            "one instance alone need not show everything"
        );
        assert!(findings(&[row(property(true, 0)), row(property(true, 1))], true).is_empty());
    }

    #[test]
    fn checkers_that_disagree_are_a_finding() {
        let mut apart = row(property(true, 1));
        apart.stateright.transitions = 5;
        assert!(findings(&[apart], false)[0].contains("disagree"));
        let mut unseen_fall = row(property(false, 1));
        assert_eq!(
            unseen_fall.findings().len(),
            2,
            "the fall, and that stateright missed it"
        );
        unseen_fall.stateright_fallen = vec!["T1".to_owned()];
        assert_eq!(unseen_fall.findings().len(), 1);
    }

    #[test]
    fn a_witness_that_no_instance_contains_is_a_finding() {
        let mut without = row(property(true, 1));
        without.unseen = vec!["sees an escalation".to_owned()];
        assert!(findings(&[without], true)[0].contains("escalation"));
    }
}
