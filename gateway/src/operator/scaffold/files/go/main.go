// Greets, and counts the words of a text.
package main

import (
	"strings"

	"example.com/{name}/omegaplugin"
)

func main() {
	omegaplugin.Run(func(request omegaplugin.Request) omegaplugin.Answer {
		words := strings.Fields(request.Payload.Content)
		return omegaplugin.OK(omegaplugin.JSON("hello/1", map[string]any{
			"greeting":   "Hello!",
			"word_count": len(words),
		}))
	})
}
