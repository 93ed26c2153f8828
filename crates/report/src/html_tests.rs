use flashsale_schemas::events::{ChangeKind, Outcome, PurchaseDecision, SaleEvent};

use super::*;
use crate::{
    Builder,
    sample::{END, SECOND, START, builder, change, log_of, refusal, sku, unit},
};

const SCRIPT: &str = "\"><script>alert('1')</script><img src=x onerror=alert(2)>&";

/// A sale whose names are all written by somebody who means harm.
fn hostile() -> Report {
    let mut builder = Builder::new(sku());
    builder.event(&SaleEvent { product_name: SCRIPT.into(), ..change(1, ChangeKind::Created, START - SECOND) });
    for n in 1..3 {
        builder.decision(&refusal(n, SCRIPT, Outcome::SoldOut, None, START), None);
    }
    builder.decision(&PurchaseDecision { ingest_id: SCRIPT.into(), ..unit(1, SCRIPT, START, Some(START)) }, None);
    builder.build(None).unwrap()
}

#[test]
fn names_are_escaped_wherever_they_stand() {
    let page = html(&hostile());
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    let escaped = "&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;";
    // Product, insistent shopper, ingest instance.
    assert!(page.matches(escaped).count() >= 3, "{page}");
}

#[test]
fn the_page_fetches_and_runs_nothing() {
    let page = html(&hostile());
    let policy =
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">";
    assert!(page.contains(policy));
    for foreign in ["http:", "https:", "url(", "@import", " src=\"", " href=", " style=\""] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn every_chart_has_a_name_a_sentence_and_a_table() {
    let page = html(&log_of(&[unit(1, "ann", START, Some(START)), refusal(1, "bob", Outcome::SoldOut, None, END)]));
    let charts = page.matches("<svg ").count();
    assert_eq!(charts, 6);
    for part in ["<desc id=", "role=\"img\"", "<figcaption>", "<details>", "</figure>"] {
        assert_eq!(page.matches(part).count(), charts, "{part}");
    }
    for id in ["demand", "funnel", "sold", "latency", "retries", "deciles"] {
        assert!(page.contains(&format!("aria-labelledby=\"{id}-title {id}-says\"")), "{id}");
        assert!(page.contains(&format!("<title id=\"{id}-title\">")), "{id}");
    }
}

#[test]
fn tags_are_closed() {
    for report in [hostile(), log_of(&[])] {
        let page = html(&report);
        for tag in ["main", "figure", "svg", "text", "table", "tr", "th", "td", "details", "section", "bdi", "ul", "li"]
        {
            let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(!page.contains("NaN") && !page.contains(">inf"), "{page}");
    }
}

#[test]
fn a_long_sale_makes_no_long_page() {
    let mut builder = builder();
    for n in 0..5_000 {
        let at = START + i64::try_from(n).unwrap() * SECOND;
        builder.decision(&refusal(n, &format!("u{n}"), Outcome::SoldOut, None, at), None);
    }
    let page = html(&builder.build(None).unwrap());
    let (_, demand) = page.split_once("Attempts by the time of their decision").unwrap();
    let (demand, _) = demand.split_once("</table>").unwrap();
    let rows = demand.matches("<th scope=\"row\">").count();
    assert!((500..=POINTS_MAX).contains(&rows), "{rows}");
}
