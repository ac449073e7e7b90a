package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Text of strangers leaves its type by Raw, which nobody writes by accident. A
// conversion, or an append to bytes, would be raw text that looks like any other.
func TestForeignIsNotConverted(t *testing.T) {
	takesLong(t)
	raw := 0
	fset := token.NewFileSet()
	typeCheck(t, fset, func(call *ast.CallExpr, info *types.Info) {
		fun := info.Types[call.Fun]
		if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Raw" && isForeign(info.Types[f.X].Type) {
			raw++
		}
		for _, arg := range call.Args {
			if !isForeign(info.Types[arg].Type) {
				continue
			}
			if fun.IsType() && !isForeign(fun.Type) || fun.IsBuiltin() && isBytes(info.Types[call.Args[0]].Type) {
				t.Errorf("%s: %s; compare, store and look up by Raw, print by String or package templates",
					fset.Position(call.Pos()), types.ExprString(call))
			}
		}
	})
	if raw < 20 {
		t.Errorf("only %d calls of Raw were seen", raw)
	}
}

// typeCheck shows every call of every package, but for the one in which Foreign lives.
func typeCheck(t *testing.T, fset *token.FileSet, show func(*ast.CallExpr, *types.Info)) {
	list := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,CgoFiles", "mailfail/...")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	config := types.Config{FakeImportC: true, Importer: importer.ForCompiler(fset, "gc",
		func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
	for from := json.NewDecoder(bytes.NewReader(out)); from.More(); {
		var p struct {
			ImportPath, Dir, Export string
			GoFiles, CgoFiles       []string
		}
		if err := from.Decode(&p); err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export // packages follow what they import
		if !strings.HasPrefix(p.ImportPath, "mailfail/") || p.ImportPath == "mailfail/registry" {
			continue
		}
		var files []*ast.File
		for _, name := range append(p.GoFiles, p.CgoFiles...) {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
		if _, err := config.Check(p.ImportPath, fset, files, info); err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for node := range ast.Preorder(file) {
				if call, ok := node.(*ast.CallExpr); ok {
					show(call, info)
				}
			}
		}
	}
}

// isForeign reports whether t is Foreign, or a type parameter that can be.
func isForeign(t types.Type) bool {
	switch t := t.(type) {
	case *types.Named:
		return t.Obj().Name() == "Foreign" && t.Obj().Pkg().Path() == "mailfail/registry"
	case *types.TypeParam:
		union, ok := t.Constraint().Underlying().(*types.Interface)
		return ok && !union.IsMethodSet() && types.Satisfies(types.NewNamed(types.NewTypeName(0, nil, "", nil),
			types.Typ[types.String], nil), union)
	}
	return false
}

func isBytes(t types.Type) bool {
	slice, ok := t.Underlying().(*types.Slice)
	return ok && types.Identical(slice.Elem(), types.Typ[types.Byte])
}
