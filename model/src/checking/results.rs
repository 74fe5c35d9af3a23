//! Published figures: what `--bless` writes and every other check is held against.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CheckRow, MutantRow};

/// The content of `docs/results/SPEC.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The command that wrote it.
    pub command: String,
    /// The revision of the sources it was made from.
    pub revision: String,
    /// Instances.
    pub checks: Vec<CheckRow>,
    /// Mutants.
    pub mutants: Vec<MutantRow>,
}

impl Published {
    /// With what `old` says of instances that were not looked at now, in the order of `names`.
    #[must_use]
    pub fn completed_by(mut self, old: Self, names: &[&str]) -> Self {
        let looked_at = |row: &CheckRow| self.checks.iter().any(|new| new.instance == row.instance);
        let is_listed = |row: &CheckRow| names.contains(&row.instance.as_str());
        let mut kept = old.checks;
        kept.retain(|row| !looked_at(row) && is_listed(row));
        if !kept.is_empty() {
            let since = old.revision.split(", ").last().unwrap_or_default();
            let since = since.strip_prefix("long instances of ").unwrap_or(since);
            self.revision = format!("{}, long instances of {since}", self.revision);
        }
        self.checks.extend(kept);
        let place = |row: &CheckRow| names.iter().position(|name| *name == row.instance);
        self.checks.sort_by_key(place);
        self
    }
}

/// What was found of one specification, on its way to the page.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The specification.
    pub spec: &'static str,
    /// What would be published.
    pub published: Published,
    /// What is wrong: then nothing of this specification is published.
    pub findings: Vec<String>,
}

/// Writes the pages of every specification in which nothing is wrong, whatever is wrong in another,
/// and tells all that is.
///
/// # Errors
/// When a file cannot be written.
pub fn publish(drafts: Vec<Draft>, results: &Path) -> io::Result<Vec<String>> {
    std::fs::create_dir_all(results)?;
    let mut wrong = Vec::new();
    for draft in drafts {
        if draft.findings.is_empty() {
            let title = format!("The `{}` specification, checked", draft.spec);
            let text = serde_json::to_string_pretty(&draft.published)?;
            std::fs::write(results.join(format!("{}.json", draft.spec)), text + "\n")?;
            let page = markdown(&draft.published, &title);
            std::fs::write(results.join(format!("{}.md", draft.spec)), page)?;
        } else {
            wrong.extend(draft.findings);
            wrong.push(format!(
                "{}: nothing was published: what is wrong is not blessed",
                draft.spec
            ));
        }
    }
    Ok(wrong)
}

/// A published figure that is not what was found now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Instance or mutant, and the figure.
    pub what: String,
    /// What is published.
    pub published: String,
    /// What was found.
    pub found: String,
}

/// What is published of a row and is no drift: it depends on the machine, or (what stateright found)
/// is compared with the row itself.
const OF_THE_MACHINE: [&str; 5] = [
    "seconds",
    "code_bytes",
    "kept_bytes",
    "bytes_per_state",
    "stateright",
];

/// Compares what was found with what is published, figure by figure: whatever a row has is compared,
/// seconds and bytes apart. `listed` are the instances that there are.
#[must_use]
pub fn drift(published: &Published, checks: &[CheckRow], listed: &[&str]) -> Vec<Drift> {
    let name = |row: &CheckRow| row.instance.clone();
    let mut drifts = compare(&published.checks, checks, name);
    let gone = published.checks.iter().map(name);
    drifts.extend(
        gone.filter(|name| !listed.contains(&name.as_str()))
            .map(unlisted),
    );
    drifts
}

/// As [`drift`], of all mutants of the specification.
#[must_use]
pub fn drift_of_mutants(published: &Published, mutants: &[MutantRow]) -> Vec<Drift> {
    let name = |row: &MutantRow| row.id.clone();
    let mut drifts = compare(&published.mutants, mutants, name);
    let found: Vec<String> = mutants.iter().map(name).collect();
    let gone = published.mutants.iter().map(name);
    drifts.extend(gone.filter(|id| !found.contains(id)).map(unlisted));
    drifts
}

fn unlisted(what: String) -> Drift {
    Drift {
        what,
        published: "a row".to_owned(),
        found: "nothing of that name".to_owned(),
    }
}

fn compare<R: Serialize>(published: &[R], found: &[R], name: impl Fn(&R) -> String) -> Vec<Drift> {
    let mut drifts = Vec::new();
    for row in found {
        let Some(old) = published.iter().find(|old| name(old) == name(row)) else {
            drifts.push(Drift {
                what: name(row),
                published: "nothing".to_owned(),
                found: "a row".to_owned(),
            });
            continue;
        };
        let (old, new) = (figures(old), figures(row));
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let text = |row: &Map<String, Value>| row.get(key).unwrap_or(&Value::Null).to_string();
            if text(&old) != text(&new) {
                drifts.push(Drift {
                    what: format!("{} {key}", name(row)),
                    published: text(&old),
                    found: text(&new),
                });
            }
        }
    }
    drifts
}

/// The figures of a row that must be found again.
fn figures<R: Serialize>(row: &R) -> Map<String, Value> {
    let Ok(Value::Object(mut figures)) = serde_json::to_value(row) else {
        return Map::new();
    };
    figures.retain(|key, _| !OF_THE_MACHINE.contains(&key.as_str()));
    figures
}

/// The revision of the sources, with `+` when they were changed since; `unknown` outside a
/// repository.
#[must_use]
pub fn revision() -> String {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .args(arguments)
            .output()
            .ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "--", "model"]) {
        Some(changes) if changes.is_empty() => head,
        Some(_) | None => format!("{head}+"),
    }
}

/// The published figures as tables for a reader.
#[must_use]
pub fn markdown(published: &Published, title: &str) -> String {
    let mut text = format!("# {title}\n\n");
    let _ = writeln!(
        text,
        "Generated by `{}` at revision `{}`. Every instance was exhausted by two independent \
         checkers, which agree on states and transitions. Transitions are enabled (state, action) \
         pairs, self-loops included. Bytes a state: of its code, of what the exact graph keeps of \
         it, of the exact graph with all its edges and room for growth, of stateright's table of fingerprints. Odds are those of a collision among \
         stateright's 64-bit fingerprints (`n^2 / 2^65`); the exact graph has none. Seconds are \
         those of the exact graph and of stateright, each on one core.\n",
        published.command, published.revision
    );
    text.push_str("## Instances\n\n| instance | states | transitions | depth | terminal | bytes a state | seconds | odds | digest |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for row in &published.checks {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {}, {}, {}, {} | {:.1}, {:.1} | {:.0e} | `{}` |",
            row.instance,
            row.states,
            row.transitions,
            row.depth,
            row.terminal,
            row.code_bytes,
            row.kept_bytes,
            row.bytes_per_state,
            row.stateright.bytes_per_state,
            row.seconds,
            row.stateright.seconds,
            row.stateright.collision_odds,
            &row.digest[..16.min(row.digest.len())],
        );
    }
    let (states, transitions) = published
        .checks
        .iter()
        .fold((0, 0), |(s, t), row| (s + row.states, t + row.transitions));
    let _ = writeln!(
        text,
        "| **all** | **{states}** | **{transitions}** | | | | | | |"
    );
    agreement(&mut text, published);
    matrix(&mut text, published);
    actions(&mut text, published);
    symmetry(&mut text, published);
    text.push_str("\n## Mutations\n\n| id | what was done to the rules | instance | property | depth | states | seconds | killed |\n| --- | --- | --- | --- | ---: | ---: | ---: | --- |\n");
    for row in &published.mutants {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {:.2} | {} |",
            row.id,
            row.says,
            row.instance,
            row.property,
            row.depth,
            row.states,
            row.seconds,
            if row.killed { "yes" } else { "NO" },
        );
    }
    text
}

/// What the two checkers counted, and where they do not agree.
fn agreement(text: &mut String, published: &Published) {
    let apart: Vec<&str> = (published.checks.iter())
        .filter(|row| {
            let second = &row.stateright;
            (row.states, row.transitions) != (second.states, second.transitions)
        })
        .map(|row| row.instance.as_str())
        .collect();
    let agree = published.checks.len() - apart.len();
    let all = published.checks.len();
    let _ = writeln!(
        text,
        "\n## Agreement\n\nThe exact graph and stateright count the same states and transitions in \
         {agree} of {all} instances{}{}. Instances that are also written by hand in Promela and \
         Murphi are counted by SPIN and rumur as well: `holdfast-model twins`.",
        if apart.is_empty() { "" } else { "; apart: " },
        apart.join(", "),
    );
}

/// How often each action was enabled, and so taken.
fn actions(text: &mut String, published: &Published) {
    let names: BTreeSet<&String> = published
        .checks
        .iter()
        .flat_map(|row| row.actions.keys())
        .collect();
    text.push_str("\n## Actions\n\nIn how many states each was enabled, over all its parameters; every enabled action is taken, so that this is also how often it fired. `-`: never there.\n\n| action |");
    for row in &published.checks {
        let _ = write!(text, " {} |", row.instance);
    }
    text.push_str("\n| --- |");
    text.push_str(&" ---: |".repeat(published.checks.len()));
    text.push('\n');
    for name in names {
        let _ = write!(text, "| {name} |");
        for row in &published.checks {
            let _ = match row.actions.get(name) {
                Some(times) => write!(text, " {times} |"),
                None => write!(text, " - |"),
            };
        }
        text.push('\n');
    }
}

/// Instances in which some things are alike.
fn symmetry(text: &mut String, published: &Published) {
    let rows = published.checks.iter();
    let rows: Vec<_> = rows.filter_map(|row| Some((row, row.symmetry?))).collect();
    if rows.is_empty() {
        return;
    }
    text.push_str("\n## Symmetry\n\nWhere some replicas are alike, every state is renamed in every way. Exact: each renaming maps the states one to one, and what leads on from each state to what leads on from its image; the orbits' sizes add up to all states, and what leaves one state of each, times the size, to all transitions.\n\n| instance | renamings | states | orbits | states by orbits | transitions by orbits | exact |\n| --- | ---: | ---: | ---: | ---: | ---: | --- |\n");
    for (row, found) in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.instance,
            found.renamings,
            row.states,
            found.orbits,
            found.states,
            found.transitions,
            if found.exact { "yes" } else { "NO" },
        );
    }
}

/// Properties by instances: how often each was judged with its antecedent true.
fn matrix(text: &mut String, published: &Published) {
    let mut names: Vec<(&str, &str)> = Vec::new();
    for property in published.checks.iter().flat_map(|row| &row.properties) {
        if !names.iter().any(|(name, _)| *name == property.name) {
            names.push((&property.name, &property.kind));
        }
    }
    text.push_str("\n## Properties\n\nHow often each was judged with its antecedent true; for witnesses, how often they were seen. `-`: vacuous or unseen there.\n\n| property | kind |");
    for row in &published.checks {
        let _ = write!(text, " {} |", row.instance);
    }
    text.push_str("\n| --- | --- |");
    text.push_str(&" ---: |".repeat(published.checks.len()));
    text.push('\n');
    for (name, kind) in names {
        let _ = write!(text, "| {name} | {kind} |");
        for row in &published.checks {
            match row.properties.iter().find(|property| property.name == name) {
                Some(p) if !p.holds => text.push_str(" FALLS |"),
                Some(p) if p.non_vacuous > 0 => {
                    let _ = write!(text, " {} |", p.non_vacuous);
                }
                Some(_) | None => text.push_str(" - |"),
            }
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::{Draft, Published, publish};

    fn draft(spec: &'static str, findings: &[&str]) -> Draft {
        Draft {
            spec,
            published: Published {
                command: "a test".to_owned(),
                revision: "none".to_owned(),
                checks: Vec::new(),
                mutants: Vec::new(),
            },
            findings: findings.iter().map(|&finding| finding.to_owned()).collect(),
        }
    }

    #[test]
    fn what_is_wrong_in_one_specification_keeps_no_other_from_its_page() {
        let results = std::env::temp_dir().join(format!("holdfast-publish-{}", std::process::id()));
        let drafts = vec![
            draft("before", &[]),
            draft("wrong", &["T1 falls"]),
            draft("after", &[]),
        ];
        let wrong = publish(drafts, &results).unwrap();
        let is_there = |name: &str| results.join(name).exists();
        let there = ["before.json", "wrong.json", "after.json", "after.md"].map(is_there);
        std::fs::remove_dir_all(&results).unwrap();
        assert_eq!(there, [true, false, true, true]);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("T1 falls") && wrong[1].contains("wrong: nothing was published"));
    }
}
