package investigate

import "slices"

// Part names a part of the method that a measurement can leave out, to see what
// the part adds.
type Part string

// Parts are the parts of the method that can be left out.
var Parts = []Part{partFactors, partSuspended, partPairs,
	partTriples, partPlatforms, partSpans, partPrice, partDispersion, partWaves, partReasons,
	partBursts, partLevel, partOtherHoles, partHolidays, partUntried}

const (
	partFactors    Part = "factors"    // of sender, host and domain; without them: the provider's rate
	partSuspended  Part = "suspended"  // recipients get the cause of the failure before them
	partPairs      Part = "pairs"      // slices of two and three dimensions
	partTriples    Part = "triples"    // slices of three dimensions
	partPlatforms  Part = "platforms"  // below providers
	partSpans      Part = "spans"      // of time; without them: the whole window
	partPrice      Part = "price"      // of a slice
	partDispersion Part = "dispersion" // of rates within a day
	// failures by spam and bad addresses that other days had too are not a change
	partWaves      Part = "waves"
	partReasons    Part = "other-reasons" // a cause explains other reasons in its place too
	partBursts     Part = "bursts"        // bursts are left out of the usual mail
	partLevel      Part = "level"         // of the day's mail
	partOtherHoles Part = "other-holes"   // a hole must be deeper than those of the days before
	partHolidays   Part = "holidays"      // holidays are recognized
	partUntried    Part = "untried"       // mail that is accepted and not tried
)

// has reports whether a part of the method is used.
func (d *Data) has(p Part) bool { return !slices.Contains(d.Without, p) }
