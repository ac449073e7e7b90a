package templates

import "embed"

// Web holds the pages of mailfail serve, and what they are served with. uPlot
// (MIT licence, see web/uplot.LICENSE) draws the charts where scripts run.
//
//go:embed web
var Web embed.FS
