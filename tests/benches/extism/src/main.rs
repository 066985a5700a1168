//! Answers each line of its input by a new instance of one compiled WebAssembly plugin, which answers like the bench's native one, and
//! says nothing else. Several of it run side by side where several calls are to be made at once.

use std::error::Error;
use std::io::{BufRead as _, Write as _};

use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm};

/// Reads its input whole, as the native plugin does, and gives an answer that is always the same.
const PLUGIN: &str = r#"
(module
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/env" "input_load_u8" (func $input_load_u8 (param i64) (result i32)))
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u8" (func $store_u8 (param i64 i32)))
  (import "extism:host/env" "output_set" (func $output_set (param i64 i64)))
  (memory 1)
  (data (i32.const 0) "{\"type\":\"result\",\"response\":{\"request_id\":\"bench\",\"status\":\"ok\",\"result\":{\"kind\":\"json\",\"schema_ref\":\"any/1\",\"data\":{}},\"notes\":\"\"}}")
  (func (export "answer") (result i32)
    (local $at i64) (local $length i64) (local $to i64)
    (local.set $length (call $input_length))
    (block $read (loop $more
      (br_if $read (i64.ge_u (local.get $at) (local.get $length)))
      (drop (call $input_load_u8 (local.get $at)))
      (local.set $at (i64.add (local.get $at) (i64.const 1)))
      (br $more)))
    (local.set $to (call $alloc (i64.const 132)))
    (local.set $at (i64.const 0))
    (block $written (loop $more
      (br_if $written (i64.ge_u (local.get $at) (i64.const 132)))
      (call $store_u8 (i64.add (local.get $to) (local.get $at)) (i32.load8_u (i32.wrap_i64 (local.get $at))))
      (local.set $at (i64.add (local.get $at) (i64.const 1)))
      (br $more)))
    (call $output_set (local.get $to) (i64.const 132))
    (i32.const 0)))
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let manifest = Manifest::new([Wasm::data(wat::parse_str(PLUGIN)?)]);
    let compiled = CompiledPlugin::new(PluginBuilder::new(manifest))?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let mut plugin = Plugin::new_from_compiled(&compiled)?;
        let answer: String = plugin.call("answer", line?)?;
        drop(plugin);
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
