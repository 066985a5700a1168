// Uses goroutines, a timer, the clock's zones, random numbers and JSON.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"
)

func main() {
	var message struct {
		Request struct {
			ID string `json:"request_id"`
		} `json:"request"`
	}
	line, err := bufio.NewReader(os.Stdin).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &message)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	sums := make(chan int, 64)
	var all sync.WaitGroup
	for n := 0; n < 64; n++ {
		all.Add(1)
		go func() { defer all.Done(); time.Sleep(time.Millisecond); sums <- n }()
	}
	all.Wait()
	close(sums)
	sum := 0
	for n := range sums {
		sum += n
	}
	random := make([]byte, 16)
	rand.Read(random)
	result := map[string]any{"kind": "json", "schema_ref": "tried/1", "data": map[string]any{
		"sum": sum, "random": len(hex.EncodeToString(random)), "zone": time.Unix(0, 0).UTC().Location().String(),
	}}
	response := map[string]any{"request_id": message.Request.ID, "status": "ok", "result": result}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"type": "result", "response": response})
}
