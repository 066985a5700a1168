//! Uses tokio's threads, timers, channels and standard streams.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    let message: Value = serde_json::from_str(&line)?;
    let (give, mut take) = tokio::sync::mpsc::channel(64);
    for number in 0..64_u64 {
        let give = give.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            give.send(number).await
        });
    }
    drop(give);
    let mut sum = 0;
    while let Some(number) = take.recv().await {
        sum += number;
    }
    let blocking = tokio::task::spawn_blocking(|| 7).await?;
    let result = json!({"kind": "json", "schema_ref": "tried/1", "data": {"sum": sum, "blocking": blocking}});
    let response = json!({"request_id": message["request"]["request_id"], "status": "ok", "result": result});
    let answer = json!({"type": "result", "response": response});
    tokio::io::stdout().write_all(format!("{answer}\n").as_bytes()).await?;
    Ok(())
}
