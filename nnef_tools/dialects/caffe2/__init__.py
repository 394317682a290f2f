"""What is known of Caffe2 apart from its files."""
