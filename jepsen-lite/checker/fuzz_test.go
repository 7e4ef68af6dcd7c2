package checker_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"tally/jepsen-lite/checker"
)

// FuzzCheck mutilates the files of a valid run: a checker that panics, or never
// comes back, has given no verdict. Whatever was done to them, a run whose files
// can be read and which is not what it was is hardly ever valid; what is checked
// here is that there is a verdict at all.
func FuzzCheck(f *testing.F) {
	w := newWorld(f)
	w.populate()
	w.finish()
	names := []string{checker.HistoryFile}
	for _, id := range nodeIDs() {
		names = append(names, filepath.Join(checker.JournalsDir, id+".jsonl"))
	}
	files := make([][][]byte, len(names))
	for i, name := range names {
		data, err := os.ReadFile(filepath.Join(w.dir, name))
		must(f, err)
		files[i] = bytes.SplitAfter(data, []byte("\n"))
	}
	f.Add([]byte{0, 0, 9, 0, 0})
	f.Add([]byte{1, 0, 40, 1, 0, 2, 0, 40, 1, 0, 3, 0, 40, 1, 0})
	f.Add([]byte{0, 1, 3, 2, 60, '9'})
	f.Fuzz(func(t *testing.T, script []byte) {
		dir := t.TempDir()
		must(t, os.Mkdir(filepath.Join(dir, checker.JournalsDir), 0o755))
		for i, lines := range mutilated(files, script) {
			must(t, os.WriteFile(filepath.Join(dir, names[i]), bytes.Join(lines, nil), 0o644))
		}
		verdict, err := checker.Check(dir, checker.Config{LinearTimeout: time.Second})
		if err != nil && verdict.Outcome != checker.Unknown {
			t.Errorf("the run is %s, and cannot be read: %v", verdict.Outcome, err)
		}
		if verdict.Outcome == "" {
			t.Error("there is no verdict")
		}
	})
}

// mutilated carries out steps of five bytes: the file, the line (two bytes), what
// is done to it, and where in it or with which other.
func mutilated(files [][][]byte, script []byte) [][][]byte {
	result := make([][][]byte, len(files))
	for i := range files {
		result[i] = append([][]byte(nil), files[i]...)
	}
	for ; len(script) >= 5; script = script[5:] {
		lines := result[int(script[0])%len(result)]
		at := (int(script[1])<<8 | int(script[2])) % len(lines)
		other := (at + int(script[4])) % len(lines)
		switch script[3] % 4 {
		case 0:
			lines[at] = nil
		case 1:
			lines[at], lines[other] = lines[other], lines[at]
		case 2:
			lines[at] = append(append([]byte(nil), lines[at]...), lines[other]...)
		case 3:
			changed := append([]byte(nil), lines[at]...)
			if len(changed) > 0 {
				changed[int(script[4])%len(changed)] = '0' + script[2]%10
			}
			lines[at] = changed
		}
	}
	return result
}
