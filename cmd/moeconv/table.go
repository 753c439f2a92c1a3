package main

import (
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// alignRight puts the columns from first to last, counted from 1, to the right, their heads too.
func alignRight(t table.Writer, first, last int) {
	var right []table.ColumnConfig
	for n := first; n <= last; n++ {
		right = append(right, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(right)
}
