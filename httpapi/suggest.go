package httpapi

import (
	"slices"
	"strconv"
	"strings"
)

// suggest ends a sentence about an unknown word: with the known word that was
// probably meant, else with all known words.
func suggest(unknown string, known []string) string {
	if len(known) == 0 {
		return "none is taken here"
	}
	if word := nearest(unknown, known); word != "" {
		return "did you mean " + strconv.Quote(word) + "?"
	}
	quoted := make([]string, len(known))
	for i, word := range known {
		quoted[i] = strconv.Quote(word)
	}
	return "known here: " + strings.Join(quoted, ", ")
}

// nearest returns the known word that needs the fewest edits, or "" if each
// needs more than a third of its letters: a guess further off helps nobody.
func nearest(unknown string, known []string) string {
	const bytesMax = 32 // longer words are nobody's slip, and cost time to compare
	if len(unknown) > bytesMax {
		return ""
	}
	best, fewest := "", bytesMax
	for _, word := range known {
		edits := distance(strings.ToLower(unknown), strings.ToLower(word))
		if edits <= (len(word)+1)/3 && edits < fewest {
			best, fewest = word, edits
		}
	}
	return best
}

// distance is the Levenshtein distance of two short words, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = slices.Min([]int{change, row[j] + 1, row[j+1] + 1})
		}
	}
	return row[len(b)]
}

// shorten quotes what a caller sent so that an error never repeats a whole body.
func shorten(text string) string {
	const bytesMax = 60
	if len(text) <= bytesMax {
		return strconv.QuoteToASCII(text)
	}
	return strconv.QuoteToASCII(strings.ToValidUTF8(text[:bytesMax], "")) + "..."
}
