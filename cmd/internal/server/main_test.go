package server

import (
	"testing"

	"github.com/daemonry/daemonry/internal/proctest"
)

func TestMain(m *testing.M) { proctest.Main(m) }
