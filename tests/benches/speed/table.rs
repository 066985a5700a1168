//! The table for people and the report for programs.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

/// Prints the table. A ratio is the middle one of the rounds' ratios, so it need not be that of the two figures beside it.
pub(crate) fn print(rows: &[Value]) {
    let widest = rows.iter().map(|row| text(row, "measure").chars().count());
    let width = widest.max().unwrap_or(0);
    println!(
        "\n{:<4} {:<width$} {:>13} {:>13} {:>8}  {:<13} held",
        "#", "measure", "ours", "baseline", "ratio", "target"
    );
    for row in rows {
        let (id, measure) = (text(row, "id"), text(row, "measure"));
        match row["skipped"].as_str() {
            Some(why) => println!("{id:<4} {measure:<width$} {why}"),
            None => println!(
                "{id:<4} {measure:<width$} {:>13} {:>13} {:>8}  {:<13} {}",
                figure(row, "ours"),
                figure(row, "baseline"),
                ratio(row),
                text(row, "target"),
                held(row)
            ),
        }
    }
}

pub(crate) fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

pub(crate) fn figure(row: &Value, name: &str) -> String {
    match row[name].as_f64() {
        None | Some(0.0) => String::new(),
        Some(figure) if text(row, "unit") == "calls" => format!("{figure:.0}"),
        Some(figure) if figure < 10.0 => format!("{figure:.2} {}", text(row, "unit")),
        Some(figure) => format!("{figure:.0} {}", text(row, "unit")),
    }
}

/// The ratio, or the difference where that is judged.
pub(crate) fn ratio(row: &Value) -> String {
    match (row["ratio"].as_f64(), row["added"].as_f64()) {
        (_, Some(added)) if text(row, "target").starts_with('+') => format!("{added:+.0}"),
        (Some(ratio), _) => format!("{ratio:.2}"),
        (None, _) => String::new(),
    }
}

pub(crate) fn held(row: &Value) -> &'static str {
    match row["held"].as_bool() {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    }
}

/// Writes the report.
pub(crate) fn write(file: &Path, rows: &[Value]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let document = json!({ "rows": rows });
    fs::write(file, format!("{document:#}\n"))?;
    Ok(())
}
