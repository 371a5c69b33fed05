"""What is measured: kernelgw and its peers behind one small seam."""
