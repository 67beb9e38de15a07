// The palette: jump anywhere, do anything on this page.
