package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"mailfail/store/fleet"
)

var typeNames = map[fleet.Type]string{
	fleet.Int:       "Int64",
	fleet.Text:      "String",
	fleet.MaybeInt:  "Nullable(Int64)",
	fleet.MaybeText: "Nullable(String)",
	fleet.Ints:      "Array(Int64)",
	fleet.Texts:     "Array(String)",
}

// allTables returns the tables of a fleet, including the table of origins.
func allTables() []*fleet.Table { return append([]*fleet.Table{fleet.Origins}, fleet.Tables...) }

// Statements returns the SQL that creates a database and its tables. With the name of a
// cluster, the tables are replicated, and distributed over its shards by origin: all rows
// of a host are on one shard.
func Statements(database, cluster string) []string {
	on := ""
	if cluster != "" {
		on = " ON CLUSTER " + quoteName(cluster)
	}
	db := quoteName(database)
	list := []string{"CREATE DATABASE IF NOT EXISTS " + db + on}
	for _, t := range allTables() {
		if cluster == "" {
			list = append(list, createTable(t, db+"."+quoteName(t.Name), "", "ReplacingMergeTree(version)"))
			continue
		}
		local := t.Name + "_local"
		list = append(list,
			createTable(t, db+"."+quoteName(local), on,
				fmt.Sprintf("ReplicatedReplacingMergeTree(%s, '{replica}', version)",
					quote("/clickhouse/tables/{shard}/"+database+"/"+t.Name))),
			fmt.Sprintf("CREATE TABLE IF NOT EXISTS %[1]s.%[2]s%[3]s AS %[1]s.%[4]s ENGINE = Distributed(%[5]s, %[1]s, %[4]s, sipHash64(origin))",
				db, quoteName(t.Name), on, quoteName(local), quoteName(cluster)))
	}
	return list
}

func createTable(t *fleet.Table, name, on, engine string) string {
	var b strings.Builder
	fmt.Fprintf(&b,
		"CREATE TABLE IF NOT EXISTS %s%s (\n    origin String,\n    version Int64,\n    deleted UInt8", name, on)
	for _, c := range t.Columns {
		fmt.Fprintf(&b, ",\n    %s %s", quoteName(c.Name), typeNames[c.Type])
	}
	fmt.Fprintf(&b, "\n) ENGINE = %s", engine)
	if t.Day != "" {
		fmt.Fprintf(&b, "\nPARTITION BY toYYYYMM(toDate(%s))", t.Day)
	}
	key := []string{"origin"}
	for _, k := range t.Key {
		key = append(key, quoteName(k))
	}
	if len(t.Key) > 0 && t.Day != "" { // rows that are near in time lie together
		key[0], key[1] = key[1], key[0]
	}
	fmt.Fprintf(&b, "\nORDER BY (%s)", strings.Join(key, ", "))
	if t.Blocks {
		b.WriteString("\nSETTINGS index_granularity = 128")
	}
	return b.String()
}

// Init creates the database and the tables that do not exist yet.
func Init(ctx context.Context, c *Client, cluster string) error {
	// The database may not exist yet: connect to another one.
	anywhere := *c
	anywhere.database = "default"
	for _, s := range Statements(c.database, cluster) {
		if err := anywhere.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// Database returns the name of the database that c uses.
func (c *Client) Database() string { return c.database }
