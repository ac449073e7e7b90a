package templates

import "embed"

// Web holds the pages of mailfail serve, and the files that they use. uPlot (MIT
// licence, see web/uplot.LICENSE) draws the charts where scripts run.
//
//go:embed web
var Web embed.FS
