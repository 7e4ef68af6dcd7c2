package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"tally/client"
)

func (p *program) groupsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "groups",
		Short: "List groups that have counters",
		Long:  "List groups that have counters, in the order of the bytes of their IDs. With tokens it takes the role service or admin.",
		Example: `  tally groups
  tally groups --prefix room: --limit 20
  tally groups | cut -f 1`,
		Args: arguments(0, 0, "[flags]"),
	}
	prefix := c.Flags().String("prefix", "", "only groups whose IDs begin with this `text`")
	limit := c.Flags().Int("limit", 0, "at most so `many`; 0 is all")
	c.RunE = func(c *cobra.Command, _ []string) error {
		return p.with(func(calls *client.Client) error {
			type element struct {
				Group       string `json:"group"`
				Size        int    `json:"size"`
				ModRevision uint64 `json:"modRevision"`
			}
			elements := []element{}
			d := document{header: []string{"GROUP", "COUNTERS", "CHANGED AT REVISION"}}
			for group, err := range calls.Groups(c.Context(), *prefix) {
				if err != nil {
					return err
				}
				if *limit > 0 && len(elements) == *limit {
					d.note = "There are more; --limit was reached."
					break
				}
				elements = append(elements, element(group))
				d.rows = append(d.rows, []string{group.Group, strconv.Itoa(group.Size), strconv.FormatUint(group.ModRevision, 10)})
			}
			if len(elements) == 0 {
				d.note = "No group has counters."
			}
			d.value = map[string]any{"groups": elements}
			return p.print(d)
		})
	}
	return c
}
