//! Finds the files that name each other in a circle.

use std::collections::BTreeSet;

use super::imports::Graph;

/// Returns the sets of files in which each one leads to each other one.
pub(crate) fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reached: Vec<(&String, BTreeSet<&str>)> = graph.keys().map(|file| (file, reached_from(graph, file))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (file, reaches) in &reached {
        if !reaches.contains(file.as_str()) || found.iter().any(|circle| circle.contains(*file)) {
            continue;
        }
        let back = |(other, there): &&(&String, BTreeSet<&str>)| {
            reaches.contains(other.as_str()) && there.contains(file.as_str())
        };
        found.push(reached.iter().filter(back).map(|(other, _)| (*other).clone()).collect());
    }
    found
}

fn reached_from<'g>(graph: &'g Graph, file: &str) -> BTreeSet<&'g str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = graph[file].iter().map(String::as_str).collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(graph.get(file).into_iter().flatten().map(String::as_str));
        }
    }
    reached
}

#[test]
fn files_that_lead_back_to_themselves_are_a_circle() {
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("e", "f"), ("f", "e"), ("g", "")];
    let mut graph = Graph::new();
    for (from, to) in edges {
        graph.entry(from.into()).or_default().extend((!to.is_empty()).then(|| to.to_owned()));
    }
    let found: Vec<Vec<String>> = circles(&graph).into_iter().map(|circle| circle.into_iter().collect()).collect();
    assert_eq!(found, [vec!["a", "b", "c"], vec!["e", "f"]]);
}
