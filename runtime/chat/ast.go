package chat

// expr is a node of an expression.
type expr interface{}

type (
	nameExpr  struct{ name string }
	constExpr struct{ v value }
	listExpr  struct {
		items []expr
		kind  listKind
	}
	dictExpr  struct{ keys, vals []expr }
	unaryExpr struct {
		op string // "-", "+", "not"
		x  expr
	}
	binaryExpr struct {
		op   string // arithmetic, "and", "or"
		x, y expr
	}
	concatExpr  struct{ parts []expr }
	compareExpr struct {
		x   expr
		ops []string
		ys  []expr
	}
	condExpr struct {
		cond, then expr
		other      expr // nil: undefined
	}
	attrExpr struct {
		x    expr
		name string
	}
	indexExpr struct{ x, key expr }
	sliceExpr struct{ x, from, to, step expr }
	callExpr  struct {
		fn   expr
		args callArgs
	}
	filterExpr struct {
		x    expr // nil in a filter block: its text
		name string
		args callArgs
	}
	testExpr struct {
		x    expr
		name string
		args callArgs
	}
)

// callArgs are the arguments of a call, filter or test.
type callArgs struct {
	pos   []expr
	names []string
	named []expr
	list  expr // *args
	dict  expr // **kwargs
}

// node is a statement, at a line of the template.
type node struct {
	line int
	stmt stmt
}

type stmt interface{}

type (
	textStmt  struct{ text string }
	printStmt struct{ x expr }
	ifStmt    struct {
		conds  []expr
		bodies [][]node
		other  []node
	}
	forStmt struct {
		target      target
		iter        expr
		filter      expr // may be nil
		body, other []node
		recursive   bool
	}
	setStmt struct {
		target target
		x      expr
	}
	setBlockStmt struct {
		target  target
		filters []filterExpr
		body    []node
	}
	macroStmt struct {
		name     string
		params   []string
		defaults []expr // of the last params
		body     []node
	}
	callStmt struct {
		macro macroStmt // the caller
		call  expr
	}
	filterStmt struct {
		filters []filterExpr
		body    []node
	}
	withStmt struct {
		targets []target
		values  []expr
		body    []node
	}
	scopeStmt    struct{ body []node } // generation
	breakStmt    struct{}
	continueStmt struct{}
	doStmt       struct{ x expr }
)

// target is what set and for assign to: a name, an attribute of a namespace, or several targets.
type target struct {
	name  string
	attr  string
	parts []target
}
