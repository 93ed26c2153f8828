//! What Grafana's files must be so that they can be loaded anywhere, and be read by who did not make them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde_json::Value;

const FOLDER: &str = "deploy/grafana/dashboards";
/// Whatever is chosen in the dashboard's head.
const DATASOURCE: &str = "${datasource}";

/// Checks every dashboard.
pub(crate) fn check(texts: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let dashboards = texts.iter().filter(|(file, _)| file.starts_with(FOLDER));
    let dashboards = dashboards.filter(|(file, _)| file.extension().is_some_and(|kind| kind == "json"));
    let problems = dashboards.flat_map(|(file, text)| {
        problems(file, text).into_iter().map(|problem| format!("{}: {problem}", file.display()))
    });
    problems.collect()
}

fn problems(file: &Path, text: &str) -> Vec<String> {
    let dashboard: Value = match serde_json::from_str(text) {
        Ok(dashboard) => dashboard,
        Err(error) => return vec![format!("is no JSON: {error}")],
    };
    let mut problems = Vec::new();
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    if dashboard["uid"].as_str() != stem {
        problems.push("its uid is not the name of the file".to_owned());
    }
    if !dashboard["id"].is_null() {
        problems.push("has an id, which belongs to one installation of Grafana".to_owned());
    }
    if !elements(&dashboard["templating"]["list"]).any(|variable| variable["type"] == "datasource") {
        problems.push("has no variable for the data source".to_owned());
    }
    let panels: Vec<&Value> = elements(&dashboard["panels"]).collect();
    if panels.is_empty() {
        problems.push("has no panels".to_owned());
    }
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().unwrap_or_default();
        let mut say = |what: &str| problems.push(format!("the panel {title:?} {what}"));
        if title.is_empty() || !titles.insert(title) {
            say("has no title of its own");
        }
        if !panel["id"].as_u64().is_some_and(|id| ids.insert(id)) {
            say("has no id of its own");
        }
        if panel["type"] == "row" {
            continue;
        }
        if panel["description"].as_str().is_none_or(str::is_empty) {
            say("has no description");
        }
        // A query without one of its own asks the panel's.
        let asked = elements(&panel["targets"]).map(|target| &target["datasource"]["uid"]).filter(|uid| !uid.is_null());
        if asked.chain([&panel["datasource"]["uid"]]).any(|uid| *uid != DATASOURCE) {
            say("asks a data source of its own");
        }
        if elements(&panel["targets"]).next().is_none() {
            say("asks nothing");
        }
    }
    problems
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_dashboards_are_found() {
        let asks = r#""datasource":{"uid":"${datasource}"}"#;
        let panel = format!(r#"{{"id":1,"title":"A","description":"a",{asks},"targets":[{{{asks}}}]}}"#);
        let whole =
            format!(r#"{{"uid":"x","id":null,"templating":{{"list":[{{"type":"datasource"}}]}},"panels":[{panel}]}}"#);
        let twice = format!("{panel},{panel}");
        let problems = |text: &str| problems(Path::new("x.json"), text);
        assert_eq!(problems(&whole), Vec::<String>::new());
        for (from, to, wanted) in [
            ("{\"uid\"", "{uid", "no JSON"),
            ("\"uid\":\"x\"", "\"uid\":\"y\"", "name of the file"),
            ("\"id\":null", "\"id\":7", "one installation"),
            ("\"type\":\"datasource\"", "\"type\":\"query\"", "no variable"),
            (panel.as_str(), "", "no panels"),
            (panel.as_str(), twice.as_str(), "no title of its own"),
            (panel.as_str(), twice.as_str(), "no id of its own"),
            ("\"description\":\"a\"", "\"description\":\"\"", "no description"),
            ("\"targets\":[{\"datasource\":{\"uid\":\"${datasource}\"}}]", "\"targets\":[]", "asks nothing"),
            ("${datasource}", "prometheus", "a data source of its own"),
        ] {
            let broken = whole.replace(from, to);
            assert_ne!(broken, whole, "{from}");
            let found = problems(&broken);
            assert!(found.iter().any(|problem| problem.contains(wanted)), "{wanted}: {found:?}");
        }
    }
}
