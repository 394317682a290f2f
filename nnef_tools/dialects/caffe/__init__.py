"""What is known of Caffe's layers apart from files."""
