//! Published figures: what `--bless` writes and every other check is held against.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{CheckRow, MutantRow};

/// The content of `docs/results/SPEC.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// Compares what was found with what is published; seconds and bytes never count.
#[must_use]
pub fn drift(published: &Published, checks: &[CheckRow]) -> Vec<Drift> {
    let mut drifts = Vec::new();
    for row in checks {
        let Some(old) = published
            .checks
            .iter()
            .find(|old| old.instance == row.instance)
        else {
            drifts.push(Drift {
                what: row.instance.clone(),
                published: "nothing".to_owned(),
                found: format!("{} states", row.states),
            });
            continue;
        };
        let mut compare = |figure: &str, old: String, new: String| {
            if old != new {
                let what = format!("{} {figure}", row.instance);
                drifts.push(Drift {
                    what,
                    published: old,
                    found: new,
                });
            }
        };
        compare("states", old.states.to_string(), row.states.to_string());
        compare(
            "transitions",
            old.transitions.to_string(),
            row.transitions.to_string(),
        );
        compare("depth", old.depth.to_string(), row.depth.to_string());
        compare("digest", old.digest.clone(), row.digest.clone());
        compare(
            "terminal",
            old.terminal.to_string(),
            row.terminal.to_string(),
        );
        compare(
            "actions",
            format!("{:?}", old.actions),
            format!("{:?}", row.actions),
        );
        compare(
            "refusals",
            format!("{:?}", old.refused),
            format!("{:?}", row.refused),
        );
        compare(
            "properties",
            format!("{:?}", old.properties),
            format!("{:?}", row.properties),
        );
        compare(
            "unseen",
            format!("{:?}", old.unseen),
            format!("{:?}", row.unseen),
        );
    }
    drifts
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
    matrix(&mut text, published);
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
