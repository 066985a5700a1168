// Checks a ledger and the bundles of its runs with the packages that Go's own command verifies its checksum database with.
//
//	audit VKEY STATE BUNDLE...
//
// The checkpoint in the anchor is opened, the tiles are read against its root, every line is proven from them, and every proof
// of every bundle is checked against the bundle's own checkpoint.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"audit/note"
	"audit/tlog"
)

type proof struct {
	Index  int64    `json:"index"`
	Hashes []string `json:"hashes"`
}

type bundle struct {
	Checkpoint string  `json:"checkpoint"`
	Inclusion  []proof `json:"inclusion"`
	Export     proof   `json:"export"`
}

// tiles reads tiles from files; C2SP's paths are Go's without the height.
type tiles struct{ folder string }

func (tiles) Height() int                     { return 8 }
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var read [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			return nil, err
		}
		read = append(read, data)
	}
	return read, nil
}

func fail(what string, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, what+":", err)
		os.Exit(1)
	}
}

func open(text string, known note.Verifiers) tlog.Tree {
	opened, err := note.Open([]byte(text), known)
	fail("the checkpoint", err)
	lines := strings.Split(opened.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	fail("the size", err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	fail("the root", err)
	var tree tlog.Tree
	tree.N = size
	copy(tree.Hash[:], root)
	return tree
}

func main() {
	vkey, err := os.ReadFile(os.Args[1])
	fail("the key", err)
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	fail("the key", err)
	known := note.VerifierList(verifier)
	state := os.Args[2]

	text, err := os.ReadFile(filepath.Join(state, "anchor/head"))
	fail("the anchor", err)
	tree := open(string(text), known)
	data, err := os.ReadFile(filepath.Join(state, "ledger/seg/00000000000000000000.ndjson"))
	fail("the segment", err)
	lines := bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	if int64(len(lines)) != tree.N {
		fail("the segment", fmt.Errorf("%d lines, but %d are signed for", len(lines), tree.N))
	}
	reader := tlog.TileHashReader(tree, tiles{filepath.Join(state, "ledger/tiles")})
	root, err := tlog.TreeHash(tree.N, reader)
	fail("the tiles", err)
	if root != tree.Hash {
		fail("the tiles", fmt.Errorf("they lead to another root"))
	}
	checked := 0
	for index, line := range lines {
		made, err := tlog.ProveRecord(tree.N, int64(index), reader)
		fail("a proof from the tiles", err)
		fail("a line", tlog.CheckRecord(made, tree.N, tree.Hash, int64(index), tlog.RecordHash(line)))
		checked++
	}
	for _, path := range os.Args[3:] {
		data, err := os.ReadFile(path)
		fail("a bundle", err)
		var read bundle
		fail("a bundle", json.Unmarshal(data, &read))
		tree := open(read.Checkpoint, known)
		for _, given := range append(read.Inclusion, read.Export) {
			var hashes tlog.RecordProof
			for _, digits := range given.Hashes {
				var hash tlog.Hash
				decoded, err := hex.DecodeString(digits)
				fail("a hash", err)
				copy(hash[:], decoded)
				hashes = append(hashes, hash)
			}
			leaf := tlog.RecordHash(lines[given.Index])
			fail("a proof of a bundle", tlog.CheckRecord(hashes, tree.N, tree.Hash, given.Index, leaf))
			checked++
		}
	}
	fmt.Println(checked)
}
