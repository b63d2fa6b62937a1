package workflow

// CatalogueForTests is the catalogue that the files of testdata are written for.
func CatalogueForTests() Catalogue { return testCatalogue() }

// CodeOf is the code that the name of a file in testdata/invalid begins with.
func CodeOf(path string) ProblemCode { return codeOf(path) }
